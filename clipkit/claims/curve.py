"""A claim's arm that is a curve: the validation score at several moments of one training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

from clipkit.engine.build import build_runner
from clipkit.errors import ClipkitError, did_you_mean
from clipkit.files import write_text
from clipkit.safe import read_json


class ScoreCurve(Hook):
    """Keeps each validation's scores by iteration in a file, since a checkpoint is written before its validation."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def before_train(self, runner: Any) -> None:
        """Called by mmengine when a run begins or goes on: a validation that a kill cut is done now."""
        if runner.iter and runner.iter % runner.train_loop.val_interval == 0 and str(runner.iter) not in self.read():
            runner.val_loop.run()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Called by mmengine after each validation."""
        curve = self.read()
        curve[str(runner.iter)] = {key: float(value) for key, value in (metrics or {}).items()}
        write_text(self.path, json.dumps(curve))

    def read(self) -> dict[str, dict[str, float]]:
        """Iteration -> scores.

        Raises:
            ClipkitError: the file is damaged.
        """
        if not self.path.is_file():
            return {}
        try:
            curve = read_json(self.path)
            return {step: {key: float(score) for key, score in scores.items()} for step, scores in curve.items()}
        except (ValueError, TypeError, AttributeError, OverflowError):
            raise ClipkitError(f"{self.path}: is no curve of scores; remove the folder of this run") from None


def run(
    seed: int, work_dir: str | Path, config: str, metric: str, every: int, cfg_options: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Trains a config and validates every so many iterations.

    Returns:
        `{"at 100": score, "at 200": …}`.

    Raises:
        ClipkitError: no such metric.
    """
    options = {**(cfg_options or {}), "train_cfg.val_interval": every}
    runner = build_runner(config, work_dir=work_dir, seed=seed, resume=True, cfg_options=options)
    curve_hook = ScoreCurve(Path(work_dir) / "score_curve.json")
    runner.register_hook(curve_hook)
    runner.train()
    curve = curve_hook.read()
    for scores in curve.values():
        if metric not in scores:
            raise ClipkitError(f'no metric "{metric}"; {did_you_mean(metric, scores)}')
    return {f"at {step}": scores[metric] for step, scores in curve.items()}
