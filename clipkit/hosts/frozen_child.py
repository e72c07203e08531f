"""A frozen CLIP inside a model that trains: moved with it, but neither saved nor overwritten with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from clipkit.backbone import FrozenCLIP
from clipkit.errors import ClipkitError


def build_clip(clip: Mapping[str, Any] | nn.Module) -> Any:
    """A `FrozenCLIP` from `dict(name=..., pretrained=..., precision=..., dense=...)`, from `dict(name='tiny_clip')` or
    'tiny_shapes' (clipkit's own), or one that exists already."""
    if isinstance(clip, nn.Module):
        return clip
    arguments = dict(clip)
    if arguments.get("name") in ("tiny_clip", "tiny_shapes"):
        from clipkit.shapes import tiny_clip

        return tiny_clip(**{key: value for key, value in arguments.items() if key != "name"})
    if "name" not in arguments:
        raise ClipkitError("clip needs a name: clip=dict(name='ViT-B-16', pretrained='openai')")
    return FrozenCLIP.from_pretrained(**arguments)


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
