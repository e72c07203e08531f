"""A CLIP as configs write it: `clip="tiny_clip"`, or `clip=dict(name=…, pretrained=…, precision=…)`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from clipkit.backbone._checked_config import needed_bytes
from clipkit.backbone._load_source import find_source
from clipkit.backbone._names import SHIPPED, brings_weights, local_name
from clipkit.backbone.frozen import FrozenCLIP
from clipkit.errors import ClipkitError, did_you_mean, warn_outdated

KEYS = ("name", "pretrained", "precision", "dense")
_EXAMPLE = "clip=dict(name='ViT-B-16-quickgelu', pretrained='openai')"
_warned: set[str] = set()


def clip_options(clip: str | Mapping[str, Any] | None, **beside: Any) -> dict[str, Any]:
    """What a config says of a CLIP, as arguments of `from_pretrained`.

    Args:
        clip: a name, or a dict of `name`, `pretrained`, `precision`, `dense`.
        beside: `name`, `pretrained`, `precision` that older configs write beside `clip`, where they are not None; they
            win, and are read until 1.0.

    Raises:
        ClipkitError: no name, or another key.
    """
    options: dict[str, Any] = {"name": clip} if isinstance(clip, str) else dict(clip or {})
    for key, value in beside.items():
        if value is not None:
            warn_outdated(f"{key}= beside clip=", "clip=dict(name=…, pretrained=…, precision=…)")
            options[key] = value
    if "name" not in options:
        raise ClipkitError(f"clip needs a name: {_EXAMPLE}")
    for key in options:
        if key not in KEYS:
            raise ClipkitError(f'clip has no "{key}"; {did_you_mean(key, KEYS)}')
    return options


def build_frozen(options: Mapping[str, Any]) -> FrozenCLIP:
    """`FrozenCLIP.from_pretrained(**options)`, with one line on stderr where its weights are random: a name that
    replaced a whole `dict(name=…, pretrained=…)` lost them."""
    name = options["name"]
    if options.get("pretrained") is None and not brings_weights(name) and name not in _warned:
        _warned.add(name)
        print(f"{name}: its weights are random; name them, {_EXAMPLE}", file=sys.stderr)
    return FrozenCLIP.from_pretrained(**options)


def is_shipped(name: str) -> str:
    """The name of the CLIP among clipkit's own that this name or folder is; '' of any other."""
    return next((known for known in SHIPPED if local_name(name) == local_name(known)), "")


def described_bytes(options: Mapping[str, Any]) -> int:
    """What the model of a CLIP's options takes, in float32, before it is built.

    Raises:
        ValueError, FileNotFoundError: no such model or weights.
    """
    source = find_source(local_name(options["name"]), options.get("pretrained"))
    return needed_bytes(source.name, source.model_cfg)
