"""Checkpoints of the original GroupViT (NVlabs/GroupViT, `checkpoint.pth`: a state dict under "model"), of
transformers' port, and ours, key for key, both ways.

The port has the same weights: queries, keys and values are three layers, and what trains only is not there (the scale
of the multi-label loss).
"""

from collections.abc import Iterator, Mapping

import torch
from clipkit_plugins.groupvit.port import from_port, is_port, to_port
from torch import Tensor

from clipkit.convert.checkpoints import Converted
from clipkit.convert.clip_layout import Layout, Shape, block_shapes, count_blocks, match, side
from clipkit.errors import ClipkitError

PHRASE_SCALE = "phrase_scale.log_scale"
DROPPED = ("num_batches_tracked", "position_ids")  # counters that no computation reads


def convert(
    state: Mapping[str, Tensor], reverse: bool = False, original: Mapping[str, Tensor] | None = None
) -> Converted:
    """The hook of `clipkit convert groupvit`.

    Args:
        state: of the original or of transformers' port; with `reverse` ours.
        reverse: from ours to the original's; to the port's where `original` is one of the port.
        original: with `reverse`, a checkpoint whose kind is wanted.

    Raises:
        ClipkitError: a key is missing, has no place, or has a shape that does not go with the rest.
    """
    if reverse:
        if original is not None and is_port(original):
            return Converted(to_port(_theirs(state)), [], file="flat")
        return _to_original(state)
    return _from_original(from_port(state) if is_port(state) else state)


def layout(state: Mapping[str, Tensor]) -> Layout:
    """The original's key -> ours and the shape, of a model with the sizes of `state`, an original's state dict.

    Raises:
        ClipkitError: no GroupViT, or without its principal weights.
    """
    return {theirs: (ours, shape) for theirs, ours, shape in _rows(state)}


def _rows(state: Mapping[str, Tensor]) -> Iterator[tuple[str, str, Shape]]:
    patch = side(state, "img_encoder.patch_embed.proj.weight", 4)
    dim = patch[0]
    yield "img_encoder.pos_embed", "tokens.positions.table", (1, side(state, "img_encoder.pos_embed", 3)[1], dim)
    yield "img_encoder.patch_embed.proj.weight", "tokens.proj.weight", patch
    yield "img_encoder.patch_embed.proj.bias", "tokens.proj.bias", (dim,)
    yield from _both("img_encoder.patch_embed.norm", "tokens.norm", (dim,))
    yield from _both("img_encoder.norm", "encoder.norm", (dim,))
    stages, before = count_blocks(state, "img_encoder.layers."), 0
    for s in range(stages):
        theirs, ours = f"img_encoder.layers.{s}", f"encoder.stages.{s}"
        for i in range(count_blocks(state, f"{theirs}.blocks.")):
            for name, shape in _block(dim):
                yield from _both(f"{theirs}.blocks.{i}.{name}", f"{ours}.blocks.{i}.{name}", shape)
        if f"{theirs}.group_token" not in state:
            continue
        tokens = side(state, f"{theirs}.group_token", 3)[1]
        groups = side(state, f"{theirs}.downsample.mlp_inter.fc2.weight", 2)[0]
        yield f"{theirs}.group_token", f"{ours}.group_token", (1, tokens, dim)
        for name, shape in _grouping(dim, tokens, groups):
            yield from _both(f"{theirs}.downsample.{name}", f"{ours}.downsample.{name}", shape)
        if before:
            for name, shape in (("0", (dim,)), ("1.fc1", (dim // 2, before)), ("1.fc2", (tokens, dim // 2))):
                yield from _both(f"{theirs}.group_projector.{name}", f"{ours}.group_projector.{name}", shape)
        before = tokens
    yield from _text(state)
    for theirs, ours, width in (("img", "", dim), ("text", "text.", side(state, "text_encoder.ln_final.weight", 1)[0])):
        hidden = side(state, f"{theirs}_projector.linear_hidden.1.weight", 1)[0]
        out = (
            state[f"{theirs}_projector.linear_out.bias"].shape[0]
            if f"{theirs}_projector.linear_out.bias" in state
            else 0
        )
        yield from _both(f"{theirs}_projector.linear_hidden.0", f"{ours}projector.0", (hidden, width))
        yield from _both(f"{theirs}_projector.linear_hidden.1", f"{ours}projector.1", (hidden,))
        for name in ("running_mean", "running_var"):
            yield f"{theirs}_projector.linear_hidden.1.{name}", f"{ours}projector.1.{name}", (hidden,)
        yield from _both(f"{theirs}_projector.linear_out", f"{ours}projector.3", (out, hidden))
    yield "logit_scale", "logit_scale.log_scale", ()
    if "multi_label_logit_scale" in state:
        yield "multi_label_logit_scale", PHRASE_SCALE, ()


def _both(theirs: str, ours: str, shape: Shape) -> Iterator[tuple[str, str, Shape]]:
    yield f"{theirs}.weight", f"{ours}.weight", shape
    yield f"{theirs}.bias", f"{ours}.bias", shape[:1]


def _block(dim: int) -> Iterator[tuple[str, Shape]]:
    yield from (("norm1", (dim,)), ("norm2", (dim,)), ("attn.qkv", (3 * dim, dim)), ("attn.proj", (dim, dim)))
    yield from (("mlp.fc1", (4 * dim, dim)), ("mlp.fc2", (dim, 4 * dim)))


def _grouping(dim: int, tokens: int, groups: int) -> Iterator[tuple[str, Shape]]:
    yield from ((name, (dim,)) for name in ("norm_tokens", "norm_post_tokens", "norm_x", "norm_new_x"))
    yield from (("mlp_inter.fc1", (dim // 2, tokens)), ("mlp_inter.fc2", (groups, dim // 2)))
    for part in ("pre_assign_attn.attn", "assign"):
        yield from ((f"{part}.{name}", (dim, dim)) for name in ("q_proj", "k_proj", "v_proj", "proj"))
    yield from ((f"pre_assign_attn.{name}", (dim,)) for name in ("norm2", "norm_post"))
    for part in ("pre_assign_attn.mlp", "mlp_channels"):
        yield from ((f"{part}.fc1", (4 * dim, dim)), (f"{part}.fc2", (dim, 4 * dim)))


def _text(state: Mapping[str, Tensor]) -> Iterator[tuple[str, str, Shape]]:
    vocab, width = side(state, "text_encoder.token_embedding.weight", 2)
    context = side(state, "text_encoder.positional_embedding", 2)[0]
    layers = count_blocks(state, "text_encoder.transformer.resblocks.")
    shapes: dict[str, Shape] = {"token_embedding.weight": (vocab, width), "positional_embedding": (context, width)}
    shapes |= {"ln_final.weight": (width,), "ln_final.bias": (width,)}
    shapes |= dict(block_shapes("transformer.resblocks", layers, width))
    yield from ((f"text_encoder.{key}", f"text.encoder.{key}", shape) for key, shape in shapes.items())


# ---- the original ---------------------------------------------------------------------------------------------------


def _used(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without counters; convolutions of one pixel, as the original has its projectors, are layers."""
    kept = {key: value for key, value in state.items() if not key.endswith(DROPPED)}
    return {
        key: value.squeeze(-1) if "_projector.linear" in key and value.ndim == 3 else value
        for key, value in kept.items()
    }


def _from_original(state: Mapping[str, Tensor]) -> Converted:
    used = _used(state)
    if not any(key.startswith("img_encoder.") for key in used):
        raise ClipkitError("is no checkpoint of GroupViT: no key starts with 'img_encoder.' or 'vision_model.'")
    rows = layout(used)
    match(used, {key: shape for key, (_, shape) in rows.items()}, "GroupViT")
    ours = {name: used[key] for key, (name, _) in rows.items()}
    notes = [f"GroupViT with {_sizes(ours)}: use it with a model from configs/_base_/groupvit.py"]
    if PHRASE_SCALE not in ours:
        ours[PHRASE_SCALE] = ours["logit_scale.log_scale"].clone()
        notes.append("has no multi_label_logit_scale: the scale of the multi-label loss starts as the other one")
    for part in ("projector", "text.projector"):
        ours[f"{part}.1.num_batches_tracked"] = torch.tensor(0)
    return Converted(ours, notes)


def _theirs(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Ours under the original's names, in the original's order."""
    used = {key: value for key, value in state.items() if not key.endswith(DROPPED)}
    names = _in_their_names(used)
    rows = layout(names)
    match(used, {ours: shape for ours, shape in rows.values()}, "clipkit's GroupViT")
    return {key: names[key] for key in rows}


def _to_original(state: Mapping[str, Tensor]) -> Converted:
    out = {}
    for key, value in _theirs(state).items():
        is_layer = "_projector.linear" in key and value.ndim == 2
        out[f"model.{key}"] = value[..., None] if is_layer else value
    return Converted(out, [], file=("model",))


def _in_their_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Ours under the original's names."""
    pairs = {
        "tokens.positions.table": "img_encoder.pos_embed",
        "tokens.": "img_encoder.patch_embed.",
        "encoder.stages.": "img_encoder.layers.",
        "encoder.norm.": "img_encoder.norm.",
        "text.encoder.": "text_encoder.",
        "logit_scale.log_scale": "logit_scale",
        PHRASE_SCALE: "multi_label_logit_scale",
        **{f"projector.{i}.": f"img_projector.{name}." for i, name in _PROJECTOR.items()},
        **{f"text.projector.{i}.": f"text_projector.{name}." for i, name in _PROJECTOR.items()},
    }
    if "tokens.norm_in.weight" in state or not any(key.startswith("text.encoder.") for key in state):
        raise ClipkitError("only a GroupViT with the paper's own patches and text converts back")
    out = {}
    for key, value in state.items():
        found = next((ours for ours in pairs if key.startswith(ours)), None)
        if found is None:
            raise ClipkitError(f"has weights with no place in clipkit's GroupViT: {key}; nothing was converted")
        out[pairs[found] + key.removeprefix(found)] = value
    return out


_PROJECTOR = {0: "linear_hidden.0", 1: "linear_hidden.1", 3: "linear_out"}


def _sizes(ours: Mapping[str, Tensor]) -> str:
    width, patch = ours["tokens.proj.weight"].shape[0], ours["tokens.proj.weight"].shape[2]
    tokens = [v.shape[1] for k, v in sorted(ours.items()) if k.endswith(".group_token")]
    return f"width {width}, patches of {patch}, {' and '.join(map(str, tokens))} group tokens"
