"""What of a CLIP trains, as options of a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipkit.backbone import TunableCLIP
from clipkit.errors import ClipkitError, did_you_mean

TUNE = (
    "unfreeze",
    "unfreeze_from",
    "adapters",
    "cross_modal",
    "inflate_patches",
    "shift_tokens",
    "join_frames",
    "checkpointing",
)


def tune(clip: TunableCLIP, options: Mapping[str, Any]) -> TunableCLIP:
    """Applies options to a CLIP of which nothing trains yet, and returns it. Its own logit scale stays frozen: models
    have one of theirs.

    Args:
        options: `unfreeze=['visual', …]`, `unfreeze_from=9` (blocks and what follows them), `adapters=dict(width=64)`
            between the blocks of both towers, `cross_modal=dict(bottleneck=8, shared=16)` inside them,
            `inflate_patches=True` (3 frames), `shift_tokens=8` (TSM, 2/8 of the channels), `join_frames=8` (frames),
            `checkpointing=True` (blocks are computed again in the backward pass: less memory, a third more time).

    Raises:
        ClipkitError: an unknown option.
        ValueError: this CLIP cannot do it.
    """
    for key in options:
        if key not in TUNE:
            raise ClipkitError(f'tune has no "{key}"; {did_you_mean(key, TUNE)}')
    wanted = {key: value for key, value in options.items() if value is not None and value is not False}  # 0 is a layer
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
    if "checkpointing" in wanted:
        clip.set_grad_checkpointing()
    return clip.freeze("logit_scale")


def changed_towers(clip: TunableCLIP, options: Mapping[str, Any]) -> set[str]:
    """Which of 'visual' and 'text' say something else than the frozen CLIP's, whose embeddings a store holds."""
    trained = [name for name, parameter in clip.named_parameters() if parameter.requires_grad]
    changed = {"visual" if "visual" in name or name == "time_embedding" else "text" for name in trained}
    return changed | {"visual"} if options.get("shift_tokens") or options.get("join_frames") else changed


def refuse_stored(tower: str) -> None:
    """Raises: embeddings from a store came to a model of which this tower trains.

    Raises:
        ClipkitError: always.
    """
    remedy = "store=None in the data" if tower == "visual" else "strings=True in the data"
    raise ClipkitError(
        f"the {tower} tower trains, and embeddings of the frozen CLIP come in: set {remedy}, or leave the tower frozen "
        "(model.tune)"
    )
