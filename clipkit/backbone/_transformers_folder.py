"""transformers' CLIPModel folders in open_clip's layout: the configuration and the names of the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from clipkit.safe import load_tensors, read_json

__all__ = ["convert_config", "convert_preprocess", "convert_state", "is_transformers_folder", "read_folder_state"]

# transformers' own defaults, which its config.json may leave out.
_TEXT = {"vocab_size": 49408, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12}
_TEXT |= {"num_attention_heads": 8, "max_position_embeddings": 77, "eos_token_id": 49407}
_VISION = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
_VISION |= {"image_size": 224, "patch_size": 32}
_SHARED: dict[str, Any] = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
_RESAMPLE = {0: "nearest", 2: "bilinear", 3: "bicubic"}

_BLOCK = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_NAMES = {
    "logit_scale": "logit_scale",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
}
# open_clip multiplies by these from the right (`x @ proj`), a Linear by its transpose.
_TRANSPOSED = {"text_projection.weight": "text_projection", "visual_projection.weight": "visual.proj"}
_LAYER = re.compile(r"(text|vision)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")


def is_transformers_folder(folder: Path) -> bool:
    """Whether the weights in the folder are transformers' and not open_clip's; published folders may describe both."""
    if not (folder / "config.json").is_file():
        return False
    if not (folder / "open_clip_config.json").is_file():
        return True
    ours = any(folder.glob("open_clip*.safetensors")) or any(folder.glob("open_clip*.bin"))
    return not ours and read_json(folder / "config.json").get("model_type") == "clip"


def convert_config(folder: Path) -> dict[str, Any]:
    """open_clip's `model_cfg` from transformers' `config.json`.

    Raises:
        FileNotFoundError: no `config.json`.
        ValueError: not a CLIPModel, or one with parts that open_clip's CLIP does not have.
    """
    path = folder / "config.json"
    config = read_json(path)
    kind, built = config.get("model_type"), config.get("architectures", ["CLIPModel"])
    if kind != "clip" or not isinstance(built, list) or "CLIPModel" not in built:
        what = str(built[0] if isinstance(built, list) and built else kind)[:80]
        raise ValueError(f"{path}: describes a {what}; only transformers' CLIPModel (both towers) can be converted")
    text = _SHARED | _TEXT | _part(path, config, "text_config")
    vision = _SHARED | _VISION | _part(path, config, "vision_config")
    for tower in (text, vision):
        if not isinstance(tower["hidden_act"], str) or not isinstance(tower["layer_norm_eps"], (int, float)):
            raise ValueError(f"{path}: hidden_act and layer_norm_eps must be a word and a number")
    acts = {text["hidden_act"], vision["hidden_act"]}
    if acts - {"gelu", "quick_gelu"} or len(acts) != 1:
        raise ValueError(
            f"{path}: hidden_act is {text['hidden_act']!r} for text and {vision['hidden_act']!r} for images; "
            "open_clip's CLIP has 'gelu' or 'quick_gelu', the same in both towers"
        )
    for part, values in (("text_config", text), ("vision_config", vision)):
        sizes = [k for k in values if k in _TEXT | _VISION and not _is_size(values[k])]
        if sizes:
            raise ValueError(f"{path}: {part}.{sizes[0]} is {values[sizes[0]]!r}, and a positive integer is needed")
        if values["hidden_size"] % values["num_attention_heads"]:
            raise ValueError(f"{path}: {part}.hidden_size is not a multiple of num_attention_heads")
    # transformers takes the largest id where the configuration says 2 (a mistake of old files), else the first eos.
    argmax = text["eos_token_id"] in (2, text["vocab_size"] - 1)
    return {
        "embed_dim": config.get("projection_dim", 512),
        "quick_gelu": acts == {"quick_gelu"},
        "vision_cfg": {
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "layers": vision["num_hidden_layers"],
            "width": vision["hidden_size"],
            "head_width": vision["hidden_size"] // vision["num_attention_heads"],
            "mlp_ratio": _ratio(vision),
            "norm_kwargs": {"eps": vision["layer_norm_eps"]},
        },
        "text_cfg": {
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
            "width": text["hidden_size"],
            "heads": text["num_attention_heads"],
            "layers": text["num_hidden_layers"],
            "mlp_ratio": _ratio(text),
            "norm_kwargs": {"eps": text["layer_norm_eps"]},
            **({} if argmax else {"pool_type": "eos", "eos_id": text["eos_token_id"]}),
        },
    }


def _part(path: Path, config: Mapping[str, Any], name: str) -> dict[str, Any]:
    # Old files repeat a tower's settings under `<name>_dict`, where the shorter key is null.
    part = config.get(name) or config.get(f"{name}_dict") or {}
    if not isinstance(part, dict):
        raise ValueError(f"{path}: {name} is {str(part)[:40]!r}, and an object is needed")
    return {key: value for key, value in part.items() if value is not None}


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _ratio(part: Mapping[str, Any]) -> float:
    ratio = part["intermediate_size"] / part["hidden_size"]
    if int(part["hidden_size"] * ratio) != part["intermediate_size"]:  # open_clip truncates the product
        ratio = (part["intermediate_size"] + 0.5) / part["hidden_size"]
    return ratio


def convert_preprocess(folder: Path) -> dict[str, Any]:
    """open_clip's `preprocess_cfg` from `preprocessor_config.json`; empty (OpenAI's values) where there is none."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return {}
    config = read_json(path)
    result: dict[str, Any] = {}
    for ours, theirs in (("mean", "image_mean"), ("std", "image_std")):
        values = config.get(theirs)
        if values is not None:
            if not isinstance(values, list) or len(values) != 3:
                raise ValueError(f"{path}: {theirs} is {values!r}, and three numbers are needed")
            result[ours] = tuple(values)
    if isinstance(config.get("resample"), int) and config["resample"] in _RESAMPLE:
        result["interpolation"] = _RESAMPLE[config["resample"]]
    return result


def read_folder_state(folder: Path) -> tuple[dict[str, torch.Tensor], Path]:
    """The raw tensors of a transformers folder (one file or shards), and the file to name in errors."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return load_tensors(folder / name), folder / name
    for name in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        index = folder / name
        if index.is_file():
            state: dict[str, torch.Tensor] = {}
            shards = read_json(index).get("weight_map", {})
            if not isinstance(shards, dict):
                raise ValueError(f"{index}: weight_map is no object")
            for shard in sorted({str(name) for name in shards.values()}):
                if Path(shard).name != shard:
                    raise ValueError(f"{index}: names a shard outside its folder: {shard!r}")
                state.update(load_tensors(folder / shard))
            return state, index
    raise FileNotFoundError(f"{folder}: has a config.json but no model.safetensors or pytorch_model.bin")


def convert_state(state: Mapping[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """transformers' names to open_clip's; query, key and value become one `in_proj`.

    Raises:
        ValueError: a key that a CLIPModel does not have, or a query, key or value missing.
    """
    result: dict[str, torch.Tensor] = {}
    attention: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in state.items():
        if key.endswith("embeddings.position_ids"):
            continue  # a buffer of old versions
        match = _LAYER.fullmatch(key)
        if key in _NAMES:
            result[_NAMES[key]] = value
        elif key in _TRANSPOSED:
            result[_TRANSPOSED[key]] = value.T.contiguous()
        elif match and match[3] in {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}:
            attention.setdefault(f"{_block(match)}.attn.in_proj_{match[4]}", {})[match[3][-6]] = value
        elif match and match[3] in _BLOCK:
            result[f"{_block(match)}.{_BLOCK[match[3]]}.{match[4]}"] = value
        else:
            raise ValueError(f"{path}: unexpected key '{key}': not a transformers CLIPModel")
    for key, parts in attention.items():
        if set(parts) != set("qkv"):
            raise ValueError(f"{path}: {key} needs q_proj, k_proj and v_proj, and only {sorted(parts)} are there")
        result[key] = torch.cat([parts["q"], parts["k"], parts["v"]])
    return result


def _block(match: re.Match[str]) -> str:
    tower = "visual." if match[1] == "vision" else ""
    return f"{tower}transformer.resblocks.{match[2]}"
