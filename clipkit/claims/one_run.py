"""One run of a claim, in a process of its own: `python -m clipkit.claims.one_run FILE ARM SEED WORK_DIR OUT`."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clipkit.claims.definition import read_claim
from clipkit.errors import ClipkitError, did_you_mean, one_line
from clipkit.files import write_text


def execute(name: str, run: Mapping[str, Any], seed: int, work_dir: Path) -> dict[str, Any]:
    """Runs an arm; returns arm -> number or dict of numbers."""
    if "function" in run:
        module, _, attribute = str(run["function"]).rpartition(".")
        try:
            function = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise ClipkitError(f'arm "{name}": no function {run["function"]} ({one_line(error)})') from error
        value = function(seed=seed, work_dir=work_dir, **run.get("kwargs", {}))
    else:
        value = _train_and_test(run, seed, work_dir)
    if "arms" not in run:
        return {name: _plain(value)}
    missing = [arm for arm in run["arms"] if arm not in value]
    if missing:
        raise ClipkitError(f'run "{name}" measured {", ".join(value)}, but not {", ".join(missing)}')
    return {arm: _plain(value[arm]) for arm in run["arms"]}


def main(argv: list[str]) -> int:
    """Runs one arm with one seed and writes its numbers."""
    path, name, seed, work_dir, out = argv
    _, definition = read_claim(path)
    values = execute(name, definition["arms"][name], int(seed), Path(work_dir))
    write_text(out, json.dumps(values))
    return 0


def _train_and_test(run: Mapping[str, Any], seed: int, work_dir: Path) -> Any:
    from clipkit.engine.build import build_runner

    def build(**options: Any) -> Any:
        options = {**run.get("cfg_options", {}), **options}
        amp = run.get("amp", False)
        return build_runner(
            run["config"],
            work_dir=work_dir,
            seed=seed,
            resume=trains,
            amp=amp,
            cfg_options=options or None,
            for_training=trains,
        )

    trains = run.get("train", True)  # False: a training-free arm is only tested
    runner = build()
    if trains:
        runner.train()
    if "tests" in run:  # each resumes from what was just trained
        return {name: _scores(build(**options), run.get("metric")) for name, options in run["tests"].items()}
    return _scores(runner, run.get("metric"))


def _scores(runner: Any, wanted: str | Sequence[str] | None) -> Any:
    scores = runner.test() if runner.test_loop is not None else runner.val()
    scores = {key: value for key, value in scores.items() if hasattr(value, "__float__")}
    if wanted is None:
        return scores
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for metric in names:
        if metric not in scores:
            raise ClipkitError(f'no metric "{metric}"; {did_you_mean(metric, scores)}')
    return scores[wanted] if isinstance(wanted, str) else {metric: scores[metric] for metric in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, bool, int, type(None))) else float(value)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ClipkitError as problem:
        print(f"error: {one_line(problem)}")
        sys.exit(2)
