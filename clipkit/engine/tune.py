"""What of a CLIP trains, as options of a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipkit.backbone import TunableCLIP
from clipkit.errors import ClipkitError, did_you_mean

TUNE = ("unfreeze", "unfreeze_from", "adapters", "cross_modal", "inflate_patches", "shift_tokens", "join_frames")


def tune(clip: TunableCLIP, options: Mapping[str, Any]) -> TunableCLIP:
    """Applies options to a CLIP of which nothing trains yet, and returns it. Its own logit scale stays frozen: models
    have one of theirs.

    Args:
        options: `unfreeze=['visual', …]`, `unfreeze_from=9` (blocks and what follows them), `adapters=dict(width=64)`
            between the blocks of both towers, `cross_modal=dict(bottleneck=8, shared=16)` inside them,
            `inflate_patches=True` (3 frames), `shift_tokens=8` (TSM, 2/8 of the channels), `join_frames=8` (frames).

    Raises:
        ClipkitError: an unknown option.
        ValueError: this CLIP cannot do it.
    """
    for key in options:
        if key not in TUNE:
            raise ClipkitError(f'tune has no "{key}"; {did_you_mean(key, TUNE)}')
    wanted = {key: value for key, value in options.items() if value not in (None, False)}
    if "inflate_patches" in wanted:
        clip.inflate_patches()
    if "unfreeze_from" in wanted:
        clip.unfreeze_from(int(wanted["unfreeze_from"]))
    if "unfreeze" in wanted:
        clip.unfreeze(*wanted["unfreeze"])
    if "adapters" in wanted:
        for tower in ("visual", "text"):
            clip.add_adapters(tower, **wanted["adapters"])
    if "cross_modal" in wanted:
        clip.add_cross_modal_adapters(**wanted["cross_modal"])
    if "shift_tokens" in wanted:
        clip.shift_tokens(int(wanted["shift_tokens"]))
    if "join_frames" in wanted:
        clip.join_frames(int(wanted["join_frames"]))
    return clip.freeze("logit_scale")
