"""The names of transformers' port of GroupViT, and the original's."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_IMAGE = (
    ("vision_model.embeddings.position_embeddings", "img_encoder.pos_embed"),
    ("vision_model.embeddings.patch_embeddings.projection.", "img_encoder.patch_embed.proj."),
    ("vision_model.embeddings.layernorm.", "img_encoder.patch_embed.norm."),
    ("vision_model.encoder.stages.", "img_encoder.layers."),
    ("vision_model.layernorm.", "img_encoder.norm."),
    ("text_model.embeddings.token_embedding.", "text_encoder.token_embedding."),
    ("text_model.embeddings.position_embedding.weight", "text_encoder.positional_embedding"),
    ("text_model.encoder.layers.", "text_encoder.transformer.resblocks."),
    ("text_model.final_layer_norm.", "text_encoder.ln_final."),
    *(
        (f"{port}_projection.{i}.", f"{theirs}_projector.{name}.")
        for port, theirs in (("visual", "img"), ("text", "text"))
        for i, name in ((0, "linear_hidden.0"), (1, "linear_hidden.1"), (3, "linear_out"))
    ),
    ("logit_scale", "logit_scale"),
)
_IMAGE_BLOCK = (
    ("self_attn.out_proj.", "attn.proj."),
    ("layer_norm1.", "norm1."),
    ("layer_norm2.", "norm2."),
    ("mlp.", "mlp."),
)
_TEXT_BLOCK = (
    ("self_attn.out_proj.", "attn.out_proj."),
    ("layer_norm1.", "ln_1."),
    ("layer_norm2.", "ln_2."),
    ("mlp.fc1.", "mlp.c_fc."),
    ("mlp.fc2.", "mlp.c_proj."),
)
_PART = {"weight": "in_proj_weight", "bias": "in_proj_bias"}


def is_port(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has transformers' names."""
    return any(key.startswith("vision_model.") for key in state)


def from_port(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The port's names to the original's, three layers of attention to one. What has no such name keeps its own, so
    that it is refused by name."""
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        found = re.fullmatch(r"(.*)\.self_attn\.([qkv])_proj\.(weight|bias)", key)
        if found is None:
            out[_renamed(key, forward=True)] = value
        elif found[2] == "q":
            parts = [state.get(f"{found[1]}.self_attn.{part}_proj.{found[3]}") for part in "qkv"]
            whole = [part for part in parts if part is not None]
            out[_fused(found[1], found[3])] = torch.cat(whole)
    return out


def to_port(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The original's names to the port's; the scale of the multi-label loss has no place there."""
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        if key == "multi_label_logit_scale":
            continue
        found = re.fullmatch(r"(.*\d)\.attn\.(?:qkv\.(weight|bias)|in_proj_(weight|bias))", key)
        if found is None:
            out[_renamed(key, forward=False)] = value
            continue
        block = _renamed(f"{found[1]}.", forward=False).removesuffix(".")
        for part, each in zip("qkv", value.chunk(3)):
            out[f"{block}.self_attn.{part}_proj.{found[2] or found[3]}"] = each.clone()
    return out


def _fused(block: str, kind: str) -> str:
    block = _renamed(f"{block}.", forward=True).removesuffix(".")
    return f"{block}.attn.qkv.{kind}" if "img_encoder" in block else f"{block}.attn.{_PART[kind]}"


def _renamed(key: str, forward: bool) -> str:
    old, new = (0, 1) if forward else (1, 0)
    for pair in _IMAGE:
        if key.startswith(pair[old]):
            key = pair[new] + key.removeprefix(pair[old])
            break
    inner = ("layers", "blocks")
    found = re.match(rf"((?:img_encoder\.layers|vision_model\.encoder\.stages)\.\d+)\.{inner[old]}\.(\d+)\.(.*)", key)
    if found is not None:
        return f"{found[1]}.{inner[new]}.{found[2]}.{_swapped(found[3], _IMAGE_BLOCK, old, new)}"
    found = re.match(r"((?:text_encoder\.transformer\.resblocks|text_model\.encoder\.layers)\.\d+)\.(.*)", key)
    if found is not None:
        return f"{found[1]}.{_swapped(found[2], _TEXT_BLOCK, old, new)}"
    names = ("pre_assign_attn.attn.out_proj.", "pre_assign_attn.attn.proj.")
    return key.replace(names[old], names[new])


def _swapped(key: str, pairs: tuple[tuple[str, str], ...], old: int, new: int) -> str:
    for pair in pairs:
        if key.startswith(pair[old]):
            return pair[new] + key.removeprefix(pair[old])
    return key
