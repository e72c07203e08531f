"""Checkpoints of the original CLIP4Clip (ArrowLuo/CLIP4Clip, `pytorch_model.bin.N`: a flat state dict) and ours, key
for key, both ways."""

from collections.abc import Mapping

from torch import Tensor

from clipkit.convert.checkpoints import Converted
from clipkit.convert.clip_layout import Layout, block_shapes, clip_shapes, clip_sizes, count_blocks, match
from clipkit.errors import ClipkitError

SCALE = "logit_scale.log_scale"  # ours, of the objective; the original trains that of its CLIP
POSITIONS = "frame_position_embeddings.weight"
CONV, CONV_3D = "clip.visual.conv1.weight", "clip.visual.conv2.weight"
# What the original saves and never reads. It fills both itself from its CLIP where a file lacks them.
UNUSED = {
    POSITIONS: "positions that the original's seqLSTM has and does not add",
    CONV: "the 2D patch layer beside the 3D one",
}


def convert(
    state: Mapping[str, Tensor], reverse: bool = False, original: Mapping[str, Tensor] | None = None
) -> Converted:
    """The hook of `clipkit convert clip4clip`.

    Args:
        state: the original's state dict; with `reverse` ours, of a model whose CLIP is in the checkpoint.
        reverse: from ours to the original's.
        original: with `reverse`, a state dict of the original, for the weights of `UNUSED`.

    Raises:
        ClipkitError: a key is missing, has no place, or has a shape that does not go with the rest.
    """
    return _to_original(state, original) if reverse else _to_ours(state)


def layout(state: Mapping[str, Tensor]) -> tuple[str, Layout]:
    """Calculator and layout of the checkpoint of the original whose sizes `state` has; the entries of `UNUSED` have the
    name '' in ours.

    Raises:
        ClipkitError: no CLIP4Clip, or without its principal weights.
    """
    kind, three = _kind(state), CONV_3D in state
    if three and CONV not in state:
        raise ClipkitError(f"lacks {CONV}: is the file whole?")
    sizes = clip_sizes(state, "clip.")
    rows = {f"clip.{key}": (f"clip.model.{key}", shape) for key, shape in clip_shapes(sizes).items()}
    if three:
        conv = rows[CONV][1]
        rows[CONV_3D] = ("clip.model.visual.conv1.weight", (*conv[:2], 3, *conv[2:]))
        rows[CONV] = ("", conv)
    dim = sizes.embed
    if kind in ("seqLSTM", "seqTransf"):
        rows[POSITIONS] = ("head.positions" if kind == "seqTransf" else "", (sizes.context, dim))
    if kind == "seqLSTM":
        for part in ("ih", "hh"):
            rows[f"lstm_visual.weight_{part}_l0"] = (f"head.lstm.weight_{part}_l0", (4 * dim, dim))
            rows[f"lstm_visual.bias_{part}_l0"] = (f"head.lstm.bias_{part}_l0", (4 * dim,))
    blocks = {"seqTransf": "transformerClip.resblocks", "tightTransf": "cross.transformer.resblocks"}.get(kind)
    if blocks:
        for key, shape in block_shapes(blocks, count_blocks(state, f"{blocks}."), dim):
            rows[key] = (f"head.blocks{key.removeprefix(blocks)}", shape)
    if kind == "tightTransf":
        rows["cross.embeddings.position_embeddings.weight"] = ("head.positions", (sizes.context, dim))
        parts = {
            "cross.pooler.ln_pool": ("head.pool_norm", (dim,)),
            "cross.pooler.dense": ("head.pool", (dim, dim)),
            "similarity_dense": ("head.score", (1, dim)),
        }
        for theirs, (ours, shape) in parts.items():
            rows |= {f"{theirs}.weight": (f"{ours}.weight", shape), f"{theirs}.bias": (f"{ours}.bias", shape[:1])}
    return kind, rows


def _kind(state: Mapping[str, Tensor]) -> str:
    marks = {"tightTransf": "cross.", "seqTransf": "transformerClip.", "seqLSTM": "lstm_visual.", "meanP": "clip."}
    found = [kind for kind, mark in marks.items() if any(key.startswith(mark) for key in state)]
    if "meanP" not in found:
        raise ClipkitError("is no checkpoint of the original CLIP4Clip: no key starts with 'clip.'")
    return found[0]


def _title(kind: str, rows: Layout) -> str:
    return f"CLIP4Clip {kind}{' with 3D patches' if CONV_3D in rows else ''}"


def _to_ours(state: Mapping[str, Tensor]) -> Converted:
    kind, rows = layout(state)
    match(state, {key: shape for key, (_, shape) in rows.items()}, _title(kind, rows))
    ours = {name: state[key] for key, (name, _) in rows.items() if name}
    ours[SCALE] = state["clip.logit_scale"]
    notes = [f"{_title(kind, rows)}: use it with head=dict(type={kind!r}) and tune=…: its CLIP was trained"]
    return Converted(ours, notes + [f"left out: {key} ({UNUSED[key]})" for key, (name, _) in rows.items() if not name])


def _to_original(state: Mapping[str, Tensor], original: Mapping[str, Tensor] | None) -> Converted:
    kind, rows = layout(_in_their_names(state))
    wanted = {name: shape for name, shape in rows.values() if name}
    match({key: value for key, value in state.items() if key != SCALE}, wanted, f"clipkit's {_title(kind, rows)}")
    out = {key: state[name] for key, (name, _) in rows.items() if name}
    if SCALE in state:
        out["clip.logit_scale"] = state[SCALE].to(out["clip.logit_scale"].dtype)
    unused = [key for key, (name, _) in rows.items() if not name]
    if not unused or original is None:
        notes = [f"missing: {key} ({UNUSED[key]}), which the original fills from its CLIP" for key in unused]
        return Converted(out, notes, file="flat")
    for key in unused:
        if key not in original or tuple(original[key].shape) != rows[key][1]:
            raise ClipkitError(f"--original: lacks {key} of shape {rows[key][1]}")
        out[key] = original[key]
    return Converted(out, [f"taken from --original: {key}" for key in unused], file="flat")


def _in_their_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our keys in the original's names, for the sizes only."""
    if not any(key.startswith("clip.model.") for key in state):
        raise ClipkitError("holds no clip.model.*: its CLIP was frozen, and the original's files need one")
    names = {
        "head.lstm.": "lstm_visual.",
        "head.pool_norm.": "cross.pooler.ln_pool.",
        "head.pool.": "cross.pooler.dense.",
        "head.score.": "similarity_dense.",
        "clip.model.": "clip.",
    }
    tight = "head.score.weight" in state
    names["head.blocks."] = "cross.transformer.resblocks." if tight else "transformerClip.resblocks."
    out = {}
    for key, value in state.items():
        for ours, theirs in names.items():
            if key.startswith(ours):
                out[theirs + key.removeprefix(ours)] = value
    if "head.positions" in state:
        out["cross.embeddings.position_embeddings.weight" if tight else POSITIONS] = state["head.positions"]
    if CONV in out and out[CONV].ndim == 5:
        out[CONV_3D] = out[CONV]
        out[CONV] = out[CONV][:, :, 1]
    return out
