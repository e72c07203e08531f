"""A frozen CLIP inside a model that trains: moved with it, but neither saved nor overwritten with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from clipkit.backbone.options import build_frozen, clip_options


def build_clip(clip: str | Mapping[str, Any] | nn.Module) -> Any:
    """A `FrozenCLIP` from a name or `dict(name=..., pretrained=..., precision=..., dense=...)`, or one that exists."""
    return clip if isinstance(clip, nn.Module) else build_frozen(clip_options(clip))


def leave_out_of_state_dict(parent: nn.Module, child: str) -> None:
    """`parent.state_dict()` will not hold `parent.<child>`, and loading one will neither miss nor change it."""

    def drop(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
        for key in [key for key in state if key.startswith(f"{prefix}{child}.")]:
            del state[key]

    def keep(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        # The child's own tensors stand in for what the file leaves out; they also win over what it should not hold.
        for key in [key for key in state if key.startswith(f"{prefix}{child}.")]:
            del state[key]
        state.update(getattr(module, child).state_dict(prefix=f"{prefix}{child}."))

    parent.register_state_dict_post_hook(drop)
    parent.register_load_state_dict_pre_hook(keep)
