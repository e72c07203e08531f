"""Checkpoints in LXMERT's layout as ours, key for key: transformers' `LxmertModel` and `LxmertForQuestionAnswering`,
the original's, and CLIP-ViL's (`lxrt_encoder.model.bert.…`), by what their classes show."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from clipkit.convert.checkpoints import Converted
from clipkit.errors import ClipkitError, some

# What the files have and ours has no use for. Nothing else is ever left out.
DROPPED = {
    r"encoder\.visn_fc\.box_(fc|layer_norm)\.(weight|bias)": "boxes of a detector, of which a grid has none",
    r"cls\..+": "the heads of masked words and of matching",
    r"obj_predict_head\..+": "the heads of masked objects",
    r"embeddings\.position_ids": "a constant",
}
PREFIX = re.compile(r"(module\.)?(lxrt_encoder\.model\.|lxmert\.)?(module\.)?(bert\.)?")
CLIP = "encoder.visual_model."
PARTS = {
    "embeddings.word_embeddings": "words.word",
    "embeddings.position_embeddings": "words.position",
    "embeddings.token_type_embeddings": "words.sentence",
    "embeddings.LayerNorm": "words.norm",
    "encoder.visn_fc.visn_fc": "embed.proj",
    "encoder.visn_fc.visn_layer_norm": "embed.norm",
    "encoder.visual_pos.x_position_embedding": "embed.row",  # its x counts rows
    "encoder.visual_pos.y_position_embedding": "embed.column",
    "pooler.dense": "pool",
    **{f"{head}logit_fc.{i}": f"classify.{i}" for head in ("", "answer_head.") for i in (0, 2, 3)},
}
_ATTENTION = {"query": "query", "key": "key", "value": "value"}
BERT_LAYER = {
    **{f"attention.self.{theirs}": ours for theirs, ours in _ATTENTION.items()},
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "norm",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "norm_mlp",
}
CROSS_LAYER = {
    **{f"visual_attention.att.{name}": f"cross.{name[0]}_proj" for name in _ATTENTION},
    "visual_attention.output.dense": "cross.proj",
    "visual_attention.output.LayerNorm": "norm",
}
for _theirs, _ours in (("lang", "text"), ("visn", "cells")):
    CROSS_LAYER |= {f"{_theirs}_self_att.self.{name}": f"{_ours}.{name}" for name in _ATTENTION}
    CROSS_LAYER |= {
        f"{_theirs}_self_att.output.dense": f"{_ours}.out",
        f"{_theirs}_self_att.output.LayerNorm": f"{_ours}.norm",
        f"{_theirs}_inter.dense": f"{_ours}.up",
        f"{_theirs}_output.dense": f"{_ours}.down",
        f"{_theirs}_output.LayerNorm": f"{_ours}.norm_mlp",
    }
LAYERS = {"layer": ("text", BERT_LAYER), "r_layers": ("cells", BERT_LAYER), "x_layers": ("cross", CROSS_LAYER)}
_LAYER = re.compile(r"encoder\.(layer|r_layers|x_layers)\.(\d+)\.(.+)\.(weight|bias)")


def convert(
    state: Mapping[str, Tensor], reverse: bool = False, original: Mapping[str, Tensor] | None = None
) -> Converted:
    """The hook of `clipkit convert vqa`, for `type="LxmertVQA"`.

    Raises:
        ClipkitError: `reverse`, which is not offered; a key that is neither known nor in `DROPPED`; layers with holes.
    """
    if reverse:
        raise ClipkitError("clipkit converts files in LXMERT's layout to its own, and not back")
    short = {PREFIX.sub("", key, count=1): value for key, value in state.items()}
    dropped = [key for key in short if any(re.fullmatch(pattern, key) for pattern in DROPPED)]
    names = {key: _rename(key) for key in short if key not in dropped}
    if strange := [key for key, ours in names.items() if ours is None]:
        raise ClipkitError(f"has weights with no place in LXMERT: {some(strange)}; nothing was converted")
    out = {str(ours): short[key] for key, ours in names.items()}
    counts = {ours: _count(out, ours, table) for ours, table in LAYERS.values()}
    if not counts["text"] or "embed.proj.weight" not in out:
        raise ClipkitError(f"is no checkpoint of LXMERT: {some(state)}")
    return Converted(out, [_options(out, counts), *_notes(out, dropped)])


def _rename(key: str) -> str | None:
    """Our name of a key; None for one that is unknown."""
    if key.startswith(CLIP):
        return f"clip.model.{key.removeprefix(CLIP)}"
    if found := _LAYER.fullmatch(key):
        ours, table = LAYERS[found[1]]
        return f"{ours}.{found[2]}.{table[found[3]]}.{found[4]}" if found[3] in table else None
    name, _, kind = key.rpartition(".")
    return f"{PARTS[name]}.{kind}" if name in PARTS and kind in ("weight", "bias") else None


def _count(out: Mapping[str, Tensor], part: str, table: Mapping[str, str]) -> int:
    own = [key for key in out if key.startswith(f"{part}.")]
    count = 1 + max((int(key.split(".")[1]) for key in own), default=-1)
    wanted = {
        f"{part}.{i}.{name}.{kind}" for i in range(count) for name in table.values() for kind in ("weight", "bias")
    }
    if missing := sorted(wanted - set(own)):
        raise ClipkitError(f"lacks weights of its layers: {some(missing)}; nothing was converted")
    return count


def _options(out: Mapping[str, Tensor], counts: Mapping[str, int]) -> str:
    joint = not counts["cross"] and not counts["cells"]
    said = {"text_layers": 0 if joint else counts["text"], "cell_layers": counts["cells"]}
    said |= {"cross_layers": counts["cross"], "joint_layers": counts["text"] if joint else 0}
    said |= {"width": out["embed.proj.weight"].shape[0], "hidden": out["text.0.up.weight"].shape[0]}
    said["positions"] = out["embed.row.weight"].shape[0] if "embed.row.weight" in out else 0
    return f"for model=dict(type='LxmertVQA', {', '.join(f'{key}={value}' for key, value in said.items())})"


def _notes(out: Mapping[str, Tensor], dropped: list[str]) -> list[str]:
    notes = [
        f"left out: {count} of {pattern} ({why})"
        for pattern, why in DROPPED.items()
        if (count := sum(bool(re.fullmatch(pattern, key)) for key in dropped))
    ]
    if "classify.3.weight" in out:
        count = len(out["classify.3.weight"])
        notes.append(f"{count} answers: model.vocabulary.file must hold those of the file's task, in its order")
    else:
        notes.append("no head of answers: it is to be trained")
    if any(key.startswith("clip.") for key in out):
        notes.append(
            "holds the CLIP that it was trained with: name the same one in model.clip; it replaces its weights"
        )
    return notes
