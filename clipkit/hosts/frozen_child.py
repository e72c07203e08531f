"""A frozen CLIP inside a model that trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from clipkit.backbone.options import build_frozen, clip_options


def build_clip(clip: str | Mapping[str, Any] | nn.Module) -> Any:
    """A `FrozenCLIP` from a name or `dict(name=..., pretrained=..., precision=..., dense=...)`, or one that exists."""
    return clip if isinstance(clip, nn.Module) else build_frozen(clip_options(clip))
