"""The timm architecture of the tiny CLIP: a ViT whose patches come from a convolutional stem.

Early convolutions instead of one large-stride patchify layer: Xiao et al., "Early Convolutions Help Transformers See
Better", 2021, section 4. On images of 64 pixels the difference is decisive; open_clip's own ViT has no such stem.
"""

from functools import partial
from pathlib import Path

import open_clip
from timm.layers import HybridEmbed
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import nn

STRIDE = 8


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
    return [conv, nn.BatchNorm2d(out_channels), nn.GELU()]


def conv_stem(embed_dim: int) -> nn.Sequential:
    """Six 3×3 convolutions, total stride 8: (B, 3, H, W) → (B, embed_dim, H/8, W/8)."""
    return nn.Sequential(
        *_conv(3, 24, 2),
        *_conv(24, 48),
        *_conv(48, 64, 2),
        *_conv(64, 96),
        *_conv(96, embed_dim, 2),
        *_conv(embed_dim, embed_dim),
    )


@register_model
def clipkit_vit_tiny(pretrained: bool = False, *, img_size: int = 64, embed_dim: int = 144, depth: int = 4, **kwargs):
    """A timm VisionTransformer of width 144, 4 blocks, 4 heads, class token, stride-8 convolutional stem."""
    if pretrained:
        raise ValueError("clipkit_vit_tiny has no pretrained image-only weights; load clipkit.shapes.tiny_clip()")
    for key in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        kwargs.pop(key, None)
    grid = img_size // STRIDE
    stem = conv_stem(embed_dim)
    # HybridEmbed reads the width from here when the feature size is given.
    stem.num_features = embed_dim  # type: ignore[assignment]
    embed = partial(HybridEmbed, backbone=stem, feature_size=grid, feature_ratio=STRIDE, proj=False)
    model = VisionTransformer(
        img_size=img_size,
        patch_size=1,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=4,
        embed_layer=embed,
        dynamic_img_size=True,
        **kwargs,
    )
    model.default_cfg = {"input_size": (3, img_size, img_size), "pool_size": None, "num_classes": 0}  # type: ignore[assignment]
    return model


open_clip.add_model_config(Path(__file__).parent / "model_configs")
