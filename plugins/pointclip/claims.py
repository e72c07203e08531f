"""The few-shot runs of claims C31 and C32, for `clipkit claim`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clipkit.engine.build import build_runner


def few_shot(
    seed: int,
    work_dir: str | Path,
    config: str,
    shots: Sequence[int],
    parts: Sequence[str],
    cfg_options: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, float]]:
    """Trains a config at each number of clouds a class. The seed draws these too, and training and test clouds of the
    embedded world are others for each.

    Args:
        parts: of the model, or 'top1', what all of them predict.

    Returns:
        part -> `{shots: top-1 in percent}`.
    """
    found: dict[str, dict[str, float]] = {part: {} for part in parts}
    for count in shots:
        options = {
            **(cfg_options or {}),
            "variables.shots": count,
            "variables.draw": seed,
            "train_dataloader.dataset.clouds.seed": 2 * seed + 1,
            "val_dataloader.dataset.clouds.seed": 2 * seed,
            "test_dataloader.dataset.clouds.seed": 2 * seed,
        }
        runner = build_runner(config, work_dir=Path(work_dir) / str(count), seed=seed, resume=True, cfg_options=options)
        runner.train()
        scores = runner.test()
        for part in parts:
            found[part][str(count)] = float(scores[part])
    return found
