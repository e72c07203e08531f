"""Checkpoints of the original (AndreyGuzhov/AudioCLIP, `AudioCLIP-{Partial,Full}-Training.pt`: flat state dicts) and
ours, key for key, both ways. The original reads them with `strict=False`, and does not say what it misses; here every
weight must be there, and none too many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from clipkit.convert.checkpoints import Converted
from clipkit.convert.clip_layout import Layout, Shape, block_shapes, match
from clipkit.nn import ESResNeXt

TITLE = "AudioCLIP (ESResNeXt-50 beside a CLIP RN50)"
SCALES = {"logit_scale_ai": "loss.scales.audio-image.log_scale", "logit_scale_at": "loss.scales.audio-text.log_scale"}
_DIM, _WIDTH, _TEXT = 1024, 64, 512
_STAGES = (3, 4, 6, 3)


def convert(
    state: Mapping[str, Tensor], reverse: bool = False, original: Mapping[str, Tensor] | None = None
) -> Converted:
    """The hook of `clipkit convert audioclip`.

    Args:
        state: the original's state dict; with `reverse` ours, of a model with `own_clip=True`.
        reverse: from ours to the original's.
        original: not needed.

    Raises:
        ClipkitError: a key is missing, has no place, or has a shape that is not AudioCLIP's.
    """
    rows = layout()
    if reverse:
        match(state, {name: shape for name, shape in rows.values()}, f"clipkit's {TITLE}")
        return Converted({key: state[name] for key, (name, _) in rows.items()}, [], file="flat")
    match(state, {key: shape for key, (_, shape) in rows.items()}, TITLE)
    note = "use it with configs/audioclip/audioclip_esc50_original.py: its CLIP lies in the file (own_clip=True)"
    return Converted({name: state[key] for key, (name, _) in rows.items()}, [note])


def layout() -> Layout:
    """The original's key -> ours and the shape."""
    with torch.device("meta"):
        tower = ESResNeXt(_DIM).state_dict()
    rows = {f"audio.{key}": (f"tower.{key}", tuple(value.shape)) for key, value in tower.items()}
    rows |= {key: (name, ()) for key, name in SCALES.items()}
    return rows | {key: (f"clip.model.{key}", shape) for key, shape in clip_rn50()}


def clip_rn50() -> Iterator[tuple[str, Shape]]:
    """OpenAI's names and shapes of all weights of CLIP's RN50."""
    half = _WIDTH // 2
    for number, (out, into) in enumerate(((half, 3), (half, half), (_WIDTH, half)), 1):
        yield f"visual.conv{number}.weight", (out, into, 3, 3)
        yield from _norm(f"visual.bn{number}", out)
    into = _WIDTH
    for stage, blocks in enumerate(_STAGES):
        width = _WIDTH * 2**stage
        for block in range(blocks):
            place = f"visual.layer{stage + 1}.{block}"
            for number, (out, deep, side) in enumerate(((width, into, 1), (width, width, 3), (4 * width, width, 1)), 1):
                yield f"{place}.conv{number}.weight", (out, deep, side, side)
                yield from _norm(f"{place}.bn{number}", out)
            if block == 0:
                yield f"{place}.downsample.0.weight", (4 * width, into, 1, 1)
                yield from _norm(f"{place}.downsample.1", 4 * width)
            into = 4 * width
    yield "visual.attnpool.positional_embedding", (50, into)
    for part, out in (("q_proj", into), ("k_proj", into), ("v_proj", into), ("c_proj", _DIM)):
        yield f"visual.attnpool.{part}.weight", (out, into)
        yield f"visual.attnpool.{part}.bias", (out,)
    yield from block_shapes("transformer.resblocks", 12, _TEXT)
    yield from (("ln_final.weight", (_TEXT,)), ("ln_final.bias", (_TEXT,)), ("positional_embedding", (77, _TEXT)))
    yield from (("token_embedding.weight", (49408, _TEXT)), ("text_projection", (_TEXT, _DIM)), ("logit_scale", ()))


def _norm(place: str, width: int) -> Iterator[tuple[str, Shape]]:
    yield from ((f"{place}.{part}", (width,)) for part in ("weight", "bias", "running_mean", "running_var"))
    yield f"{place}.num_batches_tracked", ()
