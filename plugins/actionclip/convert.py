"""Checkpoints of the original ActionCLIP (sallymmx/ActionCLIP, `model_best.pt`) and ours, key for key, both ways."""

from collections.abc import Mapping

from torch import Tensor

from clipkit.convert.checkpoints import Converted
from clipkit.convert.clip_layout import Layout, block_shapes, clip_shapes, clip_sizes, count_blocks, match, side
from clipkit.errors import ClipkitError

CLIP, FUSION = "model_state_dict.", "fusion_model_state_dict."
WRAPPED = "module."  # the original saves its prompt inside nn.DataParallel
SCALE = "logit_scale.log_scale"
POSITIONS = "frame_position_embeddings.weight"
BLOCKS = "visual.transformer.resblocks."
ENCODER = "transformer.transformer_enc"


def convert(
    state: Mapping[str, Tensor], reverse: bool = False, original: Mapping[str, Tensor] | None = None
) -> Converted:
    """The hook of `clipkit convert actionclip`.

    Args:
        state: the original's two state dicts with their names before the keys, as
            `clipkit.convert.checkpoints.read_state` gives them; with `reverse` ours, of a model whose CLIP is in the
            checkpoint.
        reverse: from ours to the original's.
        original: with `reverse`, a checkpoint of the original, for the positions that most of its prompts save and
            never read; without it they are zero.

    Raises:
        ClipkitError: a key is missing, has no place, or has a shape that does not go with the rest.
    """
    return _to_original(state, original) if reverse else _to_ours(state)


def layout(state: Mapping[str, Tensor]) -> tuple[str, Layout, bool]:
    """Prompt and layout of the checkpoint of the original whose sizes `state` has (without `module.`), and whether its
    blocks are wrapped for the shift. What ours has no use for is called ''.

    Raises:
        ClipkitError: no ActionCLIP, or without its principal weights.
    """
    if not any(key.startswith(CLIP) for key in state):
        raise ClipkitError("is no checkpoint of the original ActionCLIP: it holds no 'model_state_dict'")
    shifted = any(key.startswith(f"{CLIP}{BLOCKS}0.net.") for key in state)
    sizes = clip_sizes(state, CLIP)
    rows = {}
    for key, shape in clip_shapes(sizes).items():
        theirs = key
        if shifted and key.startswith(BLOCKS):
            number, _, rest = key.removeprefix(BLOCKS).partition(".")
            theirs = f"{BLOCKS}{number}.net.{rest}"
        rows[CLIP + theirs] = (f"clip.model.{key}", shape)
    kind, dim = _kind(state), sizes.embed
    if kind != "meanP":
        used = "head.positions" if kind == "Transf" else ""
        rows[FUSION + POSITIONS] = (used, (sizes.context, dim))
    if kind == "Conv1D":
        rows[f"{FUSION}shift.weight"] = ("head.shift.weight", (dim, 1, 3))
    if kind == "LSTM":
        for part in ("ih", "hh"):
            rows[f"{FUSION}lstm_visual.weight_{part}_l0"] = (f"head.lstm.weight_{part}_l0", (4 * dim, dim))
            rows[f"{FUSION}lstm_visual.bias_{part}_l0"] = (f"head.lstm.bias_{part}_l0", (4 * dim,))
    if kind == "Transf":
        blocks = f"{FUSION}transformer.resblocks"
        for key, shape in block_shapes(blocks, count_blocks(state, f"{blocks}."), dim):
            rows[key] = (f"head.blocks{key.removeprefix(blocks)}", shape)
    if kind == "Transf_cls":
        table = side(state, f"{FUSION}transformer.pos_embed", 3)
        rows[f"{FUSION}transformer.cls_token"] = ("head.token", (1, 1, dim))
        rows[f"{FUSION}transformer.pos_embed"] = ("head.positions", (1, table[1], dim))
        rows |= _encoder(state, dim)
    return kind, rows, shifted


def _encoder(state: Mapping[str, Tensor], dim: int) -> Layout:
    """torch's own encoder, with its 2,048 hidden units."""
    prefix, rows = f"{FUSION}{ENCODER}", {}
    parts: dict[str, tuple[int, ...]] = {
        "self_attn.out_proj": (dim, dim),
        "linear1": (2048, dim),
        "linear2": (dim, 2048),
        "norm1": (dim,),
        "norm2": (dim,),
    }
    for i in range(count_blocks(state, f"{prefix}.layers.")):
        layer = f".layers.{i}.self_attn.in_proj"
        rows[f"{prefix}{layer}_weight"] = (f"head.encoder{layer}_weight", (3 * dim, dim))
        rows[f"{prefix}{layer}_bias"] = (f"head.encoder{layer}_bias", (3 * dim,))
        for part, shape in parts.items():
            rows |= _pair(f"{prefix}.layers.{i}.{part}", f"head.encoder.layers.{i}.{part}", shape)
    return rows | _pair(f"{prefix}.norm", "head.encoder.norm", (dim,))


def _pair(theirs: str, ours: str, shape: tuple[int, ...]) -> Layout:
    return {f"{theirs}.weight": (f"{ours}.weight", shape), f"{theirs}.bias": (f"{ours}.bias", shape[:1])}


def _kind(state: Mapping[str, Tensor]) -> str:
    marks = {
        "Transf_cls": "transformer.cls_token",
        "Transf": "transformer.resblocks.",
        "LSTM": "lstm_visual.",
        "Conv1D": "shift.",
    }
    found = [kind for kind, mark in marks.items() if any(key.startswith(FUSION + mark) for key in state)]
    return found[0] if found else "meanP"


def _unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    wrapped = FUSION + WRAPPED
    return {FUSION + key.removeprefix(wrapped) if key.startswith(wrapped) else key: v for key, v in state.items()}


def _title(kind: str, shifted: bool) -> str:
    return f"ActionCLIP {kind}{' with shifted tokens' if shifted else ''}"


def _to_ours(state: Mapping[str, Tensor]) -> Converted:
    state = _unwrapped(state)
    kind, rows, shifted = layout(state)
    match(state, {key: shape for key, (_, shape) in rows.items()}, _title(kind, shifted))
    ours = {name: _squeezed(name, state[key]) for key, (name, _) in rows.items() if name}
    ours[SCALE] = state[f"{CLIP}logit_scale"]
    options = ", compatible=True" if kind == "Conv1D" else ""
    notes = [f"{_title(kind, shifted)}: use it with head=dict(type={kind!r}{options}) and tune=…: its CLIP was trained"]
    if shifted:
        notes.append("its blocks shift tokens: say tune=dict(shift_tokens=8)")
    if any(not name for name, _ in rows.values()):
        notes.append(f"left out: {FUSION}{POSITIONS} (positions that the original's {kind} has and does not add)")
    return Converted(ours, notes)


def _to_original(state: Mapping[str, Tensor], original: Mapping[str, Tensor] | None) -> Converted:
    if not any(key.startswith("clip.model.") for key in state):
        raise ClipkitError("holds no clip.model.*: its CLIP was frozen, and the original's files need one")
    kept = _unwrapped(original or {})
    shifted = any(key.startswith(f"{CLIP}{BLOCKS}0.net.") for key in kept)
    kind, rows, _ = layout(_in_their_names(state))
    wanted = {name: _squeezed_shape(name, shape) for name, shape in rows.values() if name}
    match({k: v for k, v in state.items() if k != SCALE}, wanted, f"clipkit's {_title(kind, False)}")
    out, notes = {}, []
    for key, (name, shape) in rows.items():
        theirs = _shift_name(key) if shifted else key
        if name:
            out[theirs] = state[name].reshape(shape)
            continue
        if original is not None and (key not in kept or tuple(kept[key].shape) != shape):
            raise ClipkitError(f"--original: lacks {key.removeprefix(FUSION)} of shape {shape}")
        out[key] = kept[key] if original is not None else state["clip.model.positional_embedding"].new_zeros(shape)
        notes.append(f"{'taken from --original' if original is not None else 'zero, and never read'}: {key}")
    if SCALE in state:
        scale = out[f"{CLIP}logit_scale"]
        out[f"{CLIP}logit_scale"] = state[SCALE].to(scale.dtype)
    out = {FUSION + WRAPPED + key.removeprefix(FUSION) if key.startswith(FUSION) else key: v for key, v in out.items()}
    return Converted(out, notes, file=(CLIP[:-1], FUSION[:-1]))


def _shift_name(key: str) -> str:
    prefix = CLIP + BLOCKS
    if not key.startswith(prefix):
        return key
    number, _, rest = key.removeprefix(prefix).partition(".")
    return f"{prefix}{number}.net.{rest}"


def _in_their_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our keys in the original's names, for the sizes only."""
    out = {}
    cls = "head.token" in state
    names = {
        "clip.model.": CLIP,
        "head.blocks.": f"{FUSION}transformer.resblocks.",
        "head.encoder.": f"{FUSION}{ENCODER}.",
        "head.lstm.": f"{FUSION}lstm_visual.",
        "head.shift.": f"{FUSION}shift.",
        "head.token": f"{FUSION}transformer.cls_token",
    }
    for key, value in state.items():
        for ours, theirs in names.items():
            if key.startswith(ours):
                out[theirs + key.removeprefix(ours)] = value
    if cls and "head.positions" in state:
        out[f"{FUSION}transformer.pos_embed"] = state["head.positions"][None]
    return out


def _squeezed(name: str, value: Tensor) -> Tensor:
    """The class token and its positions have leading dimensions of 1 in the original."""
    return value.reshape(_squeezed_shape(name, tuple(value.shape)))


def _squeezed_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if name == "head.token":
        return shape[2:]
    return shape[1:] if name == "head.positions" and len(shape) == 3 else shape
