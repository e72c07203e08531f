"""Which view fits which network."""

from __future__ import annotations

from typing import Any

from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.fastvit import FastVit
from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer

from clipkit.backbone._conv import OtherTower, ResNetTower, TimmConvTower
from clipkit.backbone._tower import ImageTower
from clipkit.backbone._vit import OpenClipViT, TimmViT

_KEPT = ("_pos_embed", "forward_features")


def choose_tower(visual: Any) -> ImageTower:
    """The view of `model.visual`. Networks that nobody described here still encode, at their native size."""
    if isinstance(visual, VisionTransformer):
        return OpenClipViT(visual)
    if isinstance(visual, ModifiedResNet):
        return ResNetTower(visual)
    if isinstance(visual, TimmModel) and "pool" not in dict(visual.head.named_children()):
        trunk = visual.trunk
        for base in (TimmVisionTransformer, Eva):
            # A subclass that changes how tokens are made or run is another network.
            if isinstance(trunk, base) and all(getattr(type(trunk), n) is getattr(base, n) for n in _KEPT):
                return TimmViT(visual)
        if isinstance(trunk, (ConvNeXt, FastVit)) and not getattr(trunk, "fork_feat", False):
            return TimmConvTower(visual)
    return OtherTower(visual)
