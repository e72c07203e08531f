"""The tiny CLIP in other sizes and with another projection, for claims C1 and C7."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import open_clip
import timm
from timm.models import register_model


@lru_cache(maxsize=1)
def register_sizes() -> None:
    """Makes `tiny-shapes-xs`, `tiny-shapes-s` and `tiny-shapes-mlp` names that open_clip knows."""

    @register_model
    def clipkit_vit_mini(pretrained: bool = False, **kwargs: Any):
        """Width 72, 2 blocks."""
        return timm.create_model("clipkit_vit_tiny", pretrained, embed_dim=72, depth=2, **kwargs)

    @register_model
    def clipkit_vit_micro(pretrained: bool = False, **kwargs: Any):
        """Width 36, 1 block."""
        return timm.create_model("clipkit_vit_tiny", pretrained, embed_dim=36, depth=1, **kwargs)

    open_clip.add_model_config(Path(__file__).parent / "model_configs")
