"""Claim C33 for `clipkit claim`: do distance words order depth?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clipkit.engine.build import build_runner

LABELLED = 1000
"""Added to a seed, the seed of the pictures that bins are fitted to."""


def measure(
    seed: int, work_dir: str | Path, words: Mapping[str, str], fitted: Mapping[str, str], pictures: int = 20
) -> dict[str, dict[str, float]]:
    """Arm -> rank correlation of pixels and of objects, pairs of a scene's objects in their order, AbsRel and δ1, in
    percent; and of `constant` (see `DepthErrors`) the last two.

    Args:
        seed: of the scenes.
        words: arm -> config of a `DepthCLIP`, as it is.
        fitted: arm -> config whose bins are first fitted to `pictures` with measured depth.
    """
    out: dict[str, dict[str, float]] = {}
    for arm, config in {**words, **fitted}.items():
        options: dict[str, Any] = {"variables.seed": seed}
        if arm in fitted:
            options |= {"variables.labelled": seed + LABELLED, "variables.pictures": pictures}
        folder = Path(work_dir) / arm.replace(" ", "_")
        runner = build_runner(config, work_dir=folder, seed=seed, cfg_options=options, for_training=arm in fitted)
        if arm in fitted:
            runner.train()
        found = runner.test()
        out[arm] = {name: 100 * found[name] for name in ("spearman", "spearman_objects", "abs_rel", "delta1")}
        out[arm]["order"] = found["order"]
        out["constant"] = {name: 100 * found[f"constant/{name}"] for name in ("abs_rel", "delta1")}
    return out
