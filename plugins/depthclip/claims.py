"""Claim C33 for `clipkit claim`: do distance words order depth?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clipkit.engine.build import build_runner

LABELLED = 1000
"""Added to a seed, the seed of the pictures that bins are fitted to."""


def measure(seed: int, work_dir: str | Path, config: str, arm: str, pictures: int = 0) -> dict[str, dict[str, float]]:
    """`arm` and `constant` (see `DepthErrors`) -> rank correlation of pixels and of objects, pairs of a scene in their
    order, AbsRel and δ1, in percent.

    Args:
        seed: of the scenes.
        config: of a `DepthCLIP`.
        arm: what it is called.
        pictures: with measured depth, to which its bins are fitted first; 0: none.
    """
    options: dict[str, Any] = {"variables.seed": seed}
    if pictures:
        options |= {"variables.labelled": seed + LABELLED, "variables.pictures": pictures}
    runner = build_runner(config, work_dir=work_dir, seed=seed, cfg_options=options, for_training=bool(pictures))
    if pictures:
        runner.train()
    found = runner.test()
    percent = {name: 100 * found[name] for name in ("spearman", "spearman_objects", "abs_rel", "delta1")}
    constant = {name: 100 * found[f"constant/{name}"] for name in ("abs_rel", "delta1")}
    return {arm: {**percent, "order": found["order"]}, "constant": constant}
