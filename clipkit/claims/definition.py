"""What a claim's file says, see `clipkit.commands.claim`."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clipkit.errors import ClipkitError


def read_claim(name: str | Path) -> tuple[Path, dict[str, Any]]:
    """The file of a claim's id or path, and its names. A claim that is read off another's runs (`runs_of = "vild"`, and
    `arms` a list of names) gives that one's file and id, with these arms.

    Raises:
        ClipkitError: no such claim, or a file without `claim` and `arms` (each arm with `config` or `function`).
    """
    path = Path(name)
    if not path.is_file():
        from clipkit.config_files import find_config

        path = find_config(Path("claims") / f"{str(name).lower()}.py")
    definition = runpy.run_path(str(path))
    arms = definition.get("arms")
    if "runs_of" in definition:
        wanted = list(arms or ())
        path, other = read_claim(path.with_name(f"{str(definition['runs_of']).lower()}.py"))
        runs = {arm: run for run, options in other["arms"].items() for arm in arm_names(run, options)}
        if missing := [arm for arm in wanted if arm not in runs]:
            raise ClipkitError(f'{name}: {other["claim"]} has no arm "{missing[0]}"')
        return path, {**other, "arms": {runs[arm]: other["arms"][runs[arm]] for arm in wanted}}
    if not isinstance(definition.get("claim"), str) or not isinstance(arms, dict) or not arms:
        raise ClipkitError(f'{path}: a claim needs `claim = "C…"` and `arms = {{name: dict(config=…)}}`')
    for arm, run in arms.items():
        if not isinstance(run, dict) or ("config" in run) == ("function" in run):
            raise ClipkitError(f'{path}: arm "{arm}" needs either `config` or `function`')
        unknown = set(run) - {"config", "cfg_options", "metric", "function", "kwargs", "arms", "amp", "train", "tests"}
        if unknown:
            raise ClipkitError(f'{path}: arm "{arm}" has no "{min(unknown)}"')
    return path, definition


def arm_names(name: str, run: Mapping[str, Any]) -> tuple[str, ...]:
    """The arms that one run measures: itself, or those that it lists."""
    return tuple(run.get("arms", (name,)))
