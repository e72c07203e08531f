"""LSeg with random weights at its real sizes, as the LSeg benchmarks share it."""

from __future__ import annotations

from typing import Any

import clipkit_plugins.lseg  # noqa: F401  (registers LSeg)
import torch
from mmengine.registry import DefaultScope

from clipkit.engine.registry import MODELS

# LSeg's two ViTs (Li et al., 2022), and a small one for --quick.
TOWERS: dict[str, dict[str, Any]] = {
    "vit_large_patch16_384": dict(
        layers=(5, 11, 17, 23), channels=(256, 512, 1024, 1024), factors=(4, 2, 1, 0.5), features=256
    ),
    "vit_base_patch32_384": dict(
        layers=(2, 5, 8, 11), channels=(96, 192, 384, 768), factors=(8, 4, 2, 1), features=256
    ),
    "vit_tiny_patch16_224": dict(layers=(2, 5, 8, 11), channels=(16, 16, 16, 16), factors=(4, 2, 1, 0.5), features=16),
}


def build_lseg(tower: str, text: str, labels: int, device: str, precision: str, **changes: Any) -> Any:
    """LSeg in eval mode.

    Args:
        tower: a key of `TOWERS`.
        text: open_clip's name of the CLIP with the text tower.
        labels: how many classes; their names only have to differ.
    """
    torch.manual_seed(0)
    sizes = TOWERS[tower]
    config = dict(
        type="LSeg",
        classes=[f"thing {i}" for i in range(labels)],
        text=dict(clip=text),
        tower=dict(type="TimmTower", name=tower, layers=sizes["layers"]),
        decoder=dict(
            type="DPTDecoder", channels=sizes["channels"], factors=sizes["factors"], features=sizes["features"]
        ),
        align_corners=True,
        precision=precision,
        **changes,
    )
    with DefaultScope.overwrite_default_scope("clipkit"):
        return MODELS.build(config).eval().to(device)
