"""Checkpoints of the official GLIP (microsoft/GLIP, `glip_tiny_*.pth`, `glip_large_model.pth`) as ours, key for key."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from clipkit.convert.checkpoints import Converted
from clipkit.errors import ClipkitError, some

# What the official files have and ours has no use for. Nothing else is ever left out.
DROPPED = {
    r"module\.rpn\.head\.cls_logits\.(weight|bias)": "a classifier of fixed classes",
    r"module\.rpn\.anchor_generator\..+": "anchors, which the config says",
    r".*resizer\..+": "a resizer of text that this fusion does not use",
    r"module\.language_backbone\.body\.model\.pooler\.dense\.(weight|bias)": "BERT's pooler",
    r"module\.language_backbone\.body\.model\.embeddings\.position_ids": "a constant",
    r"module\.backbone\.body\.norm0\.(weight|bias)": "a norm of the first stage, which the pyramid does not read",
}
# Official key -> ours; `{block}` is the number of the tower's block.
BERT_LAYER = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "norm",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "norm_mlp",
}
FUSE = {
    "layer_norm_v": "norm_v",
    "layer_norm_l": "norm_l",
    "attn.v_proj": "query",
    "attn.l_proj": "key",
    "attn.values_v_proj": "value_v",
    "attn.values_l_proj": "value_l",
    "attn.out_v_proj": "out_v",
    "attn.out_l_proj": "out_l",
}
FUSE_SCALES = {"gamma_v": "scale_v", "gamma_l": "scale_l"}
DYCONV = {
    **{f"DyConv.{i}.conv": f"{name}.conv" for i, name in enumerate(("coarser", "same", "finer"))},
    **{f"DyConv.{i}.bn": f"{name}.norm" for i, name in enumerate(("coarser", "same", "finer"))},
    "AttnConv.1": "weigh",
    "offset": "offset",
    "relu.fc.0": "relu.fc.0",
    "relu.fc.2": "relu.fc.2",
}
HEAD = {
    "bbox_pred": "bbox_head.bbox_pred",
    "centerness": "bbox_head.centerness",
    "dot_product_projection_text": "bbox_head.project_text",
}
HEAD_VALUES = {"log_scale": "log_scale", "bias_lang": "bias_text", "bias0": "bias"}
FPN = {
    **{f"fpn_inner{i}": f"lateral_convs.{i - 2}.conv" for i in (2, 3, 4)},
    **{f"fpn_layer{i}": f"fpn_convs.{i - 2}.conv" for i in (2, 3, 4)},
    "top_blocks.p6": "fpn_convs.3.conv",
    "top_blocks.p7": "fpn_convs.4.conv",
}
SWIN = (  # patterns, for stages and blocks are many
    (r"patch_embed\.proj\.(.+)", r"patch_embed.projection.\1"),
    (r"patch_embed\.norm\.(.+)", r"patch_embed.norm.\1"),
    (r"layers\.(\d+)\.blocks\.(\d+)\.attn\.(.+)", r"stages.\1.blocks.\2.attn.w_msa.\3"),
    (r"layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\.(.+)", r"stages.\1.blocks.\2.ffn.layers.0.0.\3"),
    (r"layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\.(.+)", r"stages.\1.blocks.\2.ffn.layers.1.\3"),
    (r"layers\.(\d+)\.blocks\.(\d+)\.(norm[12]\..+)", r"stages.\1.blocks.\2.\3"),
    (r"layers\.(\d+)\.downsample\.(.+)", r"stages.\1.downsample.\2"),
    (r"(norm[1-3]\..+)", r"\1"),
)
SCALES = re.compile(r"module\.rpn\.head\.scales\.(\d+)\.scale")
TOWER = re.compile(r"module\.rpn\.head\.dyhead_tower\.(\d+)\.(.+)")


def convert(
    state: Mapping[str, Tensor], reverse: bool = False, original: Mapping[str, Tensor] | None = None
) -> Converted:
    """The hook of `clipkit convert glip`.

    Raises:
        ClipkitError: `reverse`, which is not offered; a key that is neither known nor in `DROPPED`; a file without the
            parts of GLIP.
    """
    if reverse:
        raise ClipkitError("clipkit converts official GLIP files to its own, and not back")
    state = {key if key.startswith("module.") else f"module.{key}": value for key, value in state.items()}
    dropped = [key for key in state if any(re.fullmatch(pattern, key) for pattern in DROPPED)]
    deep = any(".b_attn." in key for key in state)
    names: dict[str, str] = {}
    strange = []
    for key in state:
        if key in dropped or SCALES.fullmatch(key):
            continue
        ours = _rename(key, deep)
        if ours is None:
            strange.append(key)
        else:
            names[key] = ours
    if strange:
        raise ClipkitError(f"has weights with no place in GLIP: {some(strange)}; nothing was converted")
    out = {ours: _reordered(key, state[key]) for key, ours in names.items()}
    out |= _scales(state)
    blocks = 1 + max((int(m[1]) for name in out if (m := re.match(r"bbox_head\.tower\.(\d+)", name))), default=-1)
    if not blocks or not any(name.startswith("backbone.") for name in out):
        raise ClipkitError(f"is no checkpoint of GLIP: {some(state)}")
    kind = "deep" if deep else "shallow"
    notes = [f"GLIP, {kind}, {blocks} blocks: for a config of configs/glip with model.bbox_head.blocks={blocks}"]
    for pattern, why in DROPPED.items():
        if count := sum(bool(re.fullmatch(pattern, key)) for key in dropped):
            notes.append(f"left out: {count} of {pattern} ({why})")
    return Converted(out, notes)


def _rename(key: str, deep: bool) -> str | None:
    """Our name of an official key; None for one that is unknown."""
    body, head, text = "module.backbone.body.", "module.rpn.head.", "module.language_backbone.body.model."
    if key.startswith(body):
        rest = key.removeprefix(body)
        for pattern, ours in SWIN:
            if re.fullmatch(pattern, rest):
                return "backbone." + re.sub(pattern, ours, rest)
        return None
    if key.startswith("module.backbone.fpn."):
        return _by_table(key.removeprefix("module.backbone.fpn."), FPN, "neck.")
    if key.startswith(text):
        return f"text.bert.{key.removeprefix(text)}"
    if found := TOWER.fullmatch(key):
        return _of_tower(int(found[1]), found[2], deep)
    if key.startswith(head):
        rest = key.removeprefix(head)
        return f"bbox_head.{HEAD_VALUES[rest]}" if rest in HEAD_VALUES else _by_table(rest, HEAD, "")
    return None


def _of_tower(number: int, rest: str, deep: bool) -> str | None:
    """A deep tower is a row of fusion, text layer, image layer, fusion, …; a shallow one of image layers."""
    block, part = divmod(number, 3) if deep else (number, 2)
    ours = f"bbox_head.tower.{block}."
    if part == 2:
        return _by_table(rest, DYCONV, ours + "image.")
    if part == 1:
        return _by_table(rest, BERT_LAYER, ours + "text.")
    rest = rest.removeprefix("b_attn.")
    return f"{ours}fuse.{FUSE_SCALES[rest]}" if rest in FUSE_SCALES else _by_table(rest, FUSE, ours + "fuse.")


def _by_table(key: str, table: Mapping[str, str], before: str) -> str | None:
    name, _, kind = key.rpartition(".")
    return f"{before}{table[name]}.{kind}" if name in table and kind in ("weight", "bias") else None


def _reordered(key: str, value: Tensor) -> Tensor:
    """Swin gathers the four pixels that it merges by columns and pixel by pixel, mmdet's by rows and channel by
    channel."""
    if not re.search(r"downsample\.(reduction|norm)\.", key):
        return value
    parts = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
    return parts.transpose(-1, -2).flatten(-2)


def _scales(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One factor a level, in one tensor here."""
    found = {int(m[1]): value for key, value in state.items() if (m := SCALES.fullmatch(key))}
    if not found:
        return {}
    if sorted(found) != list(range(len(found))):
        raise ClipkitError(f"has scales of the levels {sorted(found)}, which are not one a level")
    return {"bbox_head.scales": torch.stack([found[i].reshape(()) for i in range(len(found))])}
