"""What a stranger's `open_clip_config.json` may set: sizes, switches, and names of parts that open_clip and timm have.

open_clip hands much of that file to constructors and to transformers; whatever is not listed here never gets there.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
from open_clip.coca_model import MultimodalCfg

from clipkit.safe import require

__all__ = ["check_hub_name", "check_sizes", "checked_config", "needed_bytes"]

_TOP: dict[str, tuple[type, ...]] = {
    "embed_dim": (int,), "quick_gelu": (bool,), "custom_text": (bool,), "nonscalar_logit_scale": (bool,),
    "init_logit_scale": (int, float), "init_logit_bias": (int, float, type(None)),
}  # fmt: skip
_PARTS = {"vision_cfg": open_clip.CLIPVisionCfg, "text_cfg": open_clip.CLIPTextCfg, "multimodal_cfg": MultimodalCfg}
_NESTED: dict[str, dict[str, tuple[type, ...]]] = {
    "norm_kwargs": {"eps": (float, int)},
    "act_kwargs": {"approximate": (str,)},
    "tokenizer_kwargs": {"clean": (str,), "strip_sep_token": (bool,)},
}
_LISTS = ("layers", "image_size", "patch_size")
_DOWNLOADS = ("timm_model_pretrained", "hf_model_pretrained")  # clipkit says whether, not the file
# A module of torch costs time and memory whatever its width, so that a million layers of width 1 are no small model.
_BLOCK = 1 << 20
_LARGEST = 1 << 40


def checked_config(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """`model_cfg` as open_clip takes it, from a file that may say anything.

    Raises:
        ValueError: one line that names the file and the entry: unknown, of another type, or one that would fetch or run
            code.
    """
    out: dict[str, Any] = {}
    for key in ("vision_cfg", "text_cfg", "embed_dim"):
        if key not in config:
            raise ValueError(f"{path}: model_cfg lacks '{key}'")
    for key, value in config.items():
        if key in _PARTS:
            out[key] = _part(path, key, value)
        elif key in _TOP:
            out[key] = _typed(path, f"model_cfg.{key}", value, _TOP[key])
        else:
            raise ValueError(f"{path}: model_cfg has {key!r}, which this version of open_clip does not know")
    timm_name = out["vision_cfg"].get("timm_model_name")
    if timm_name is not None:
        import timm

        # "local-dir:…" and "hf-hub:…" would read another configuration, which this one was not checked with.
        if not isinstance(timm_name, str) or not re.fullmatch(r"[\w.]+", timm_name) or not timm.is_model(timm_name):
            raise ValueError(f"{path}: vision_cfg.timm_model_name is {timm_name!r}, which timm does not have")
    check_hub_name(path, "text_cfg.hf_model_name", out["text_cfg"].get("hf_model_name"))
    return out


def check_hub_name(path: object, entry: str, name: Any) -> None:
    """Refuses what transformers would take for a folder of this machine: a stranger may name a repository alone."""
    if name is None or name == "":
        return
    is_name = isinstance(name, str) and re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name)
    if not is_name or Path(name).exists():
        raise ValueError(f"{path}: {entry} is {name!r}, and the name of a repository on Hugging Face is needed")


def check_sizes(path: object, config: Mapping[str, Any], size: int) -> None:
    """Refuses a configuration whose model could not have come from weights of `size` bytes.

    Raises:
        OverBudget: one line; see `clipkit.safe.require`.
        ValueError: a size that is none.
    """
    require(path, size, needed_bytes(path, config), "the model that it describes", "its weights have")


def needed_bytes(path: object, config: Mapping[str, Any]) -> int:
    """What a configuration's model and a picture for it take in float32, without a text tower of Hugging Face.

    Raises:
        ValueError: a size that is none.
    """
    vision, text = config["vision_cfg"], config["text_cfg"]
    dim = _size(path, "model_cfg", config, "embed_dim", 512)
    needed = 12 * _size(path, "vision_cfg", vision, "image_size", 224) ** 2  # the pictures that it takes
    needed += (
        _timm_size(vision["timm_model_name"]) if vision.get("timm_model_name") else _vision_size(path, vision, dim)
    )
    for where, part in (("text_cfg", text), ("multimodal_cfg", config.get("multimodal_cfg"))):
        if part is not None:
            needed += _text_size(path, where, part, dim)
    return needed


def _part(path: Path, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{path}: model_cfg.{key} is {value!r}, and an object is needed")
    known = [field.name for field in dataclasses.fields(_PARTS[key])]
    out = {}
    for name, item in value.items():
        where = f"{key}.{name}"
        if name not in known:
            raise ValueError(f"{path}: {key} has {name!r}, which this version of open_clip does not know")
        if name in _DOWNLOADS:
            continue
        if name in _NESTED:
            allowed = _NESTED[name]
            for inner, inner_value in (_typed(path, where, item, (dict, type(None))) or {}).items():
                if inner not in allowed:
                    raise ValueError(
                        f"{path}: {where} sets {inner!r}, which a file of strangers may not; it may set "
                        f"{', '.join(allowed)}; nothing was run"
                    )
                _typed(path, f"{where}.{inner}", inner_value, allowed[inner])
        elif isinstance(item, list) and name in _LISTS:
            for number in item:
                _typed(path, where, number, (int,))
        else:
            _typed(path, where, item, (bool, int, float, str, type(None)))
        out[name] = item
    return out


def _typed(path: Path, where: str, value: Any, kinds: tuple[type, ...]) -> Any:
    is_right = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if not is_right or (isinstance(value, float) and not math.isfinite(value)):
        wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise ValueError(f"{path}: {where} is {str(value)[:40]!r}, and {wanted} is needed")
    return value


def _size(path: object, where: str, part: Mapping[str, Any], key: str, default: int) -> int:
    """A length from the file, the larger side of two."""
    value = part.get(key)
    value = default if value is None else max(value) if isinstance(value, list) and value else value
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _LARGEST:
        raise ValueError(f"{path}: {where}.{key} is {str(value)[:40]}, and a positive integer is needed")
    return value


def _ratio(path: object, where: str, part: Mapping[str, Any]) -> float:
    value = part.get("mlp_ratio", 4.0)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1 << 20:
        raise ValueError(f"{path}: {where}.mlp_ratio is {str(value)[:40]}, and a positive number is needed")
    return float(value)


def _vision_size(path: object, part: Mapping[str, Any], dim: int) -> int:
    where = "vision_cfg"
    width = _size(path, where, part, "width", 768)
    image, patch = _size(path, where, part, "image_size", 224), _size(path, where, part, "patch_size", 16)
    layers = part.get("layers", 12)
    if isinstance(layers, list):  # a ResNet: stages of 1, 2, 4 and 8 times the width, four times that where they end
        if len(layers) != 4 or not all(isinstance(n, int) and n > 0 for n in layers):
            raise ValueError(f"{path}: {where}.layers is {str(layers)[:40]}, and four positive integers are needed")
        blocks = sum(n * (_BLOCK + 4 * 17 * (width << stage) ** 2) for stage, n in enumerate(layers))
        width *= 32
        positions = (image // 32 + 1) ** 2
    else:
        blocks = _blocks(_size(path, where, part, "layers", 12), width, _ratio(path, where, part))
        positions = (image // patch + 1) ** 2
    queries = _size(path, where, part, "attn_pooler_queries", 256) if part.get("attentional_pool") else 0
    return blocks + 4 * (positions * width + 3 * patch * patch * width + width * dim + queries * dim)


def _text_size(path: object, where: str, part: Mapping[str, Any], dim: int) -> int:
    if part.get("hf_model_name"):
        return 0  # its sizes are those of a repository: see `_build.missing_text`
    width, length = _size(path, where, part, "width", 512), _size(path, where, part, "context_length", 77)
    vocabulary = _size(path, where, part, "vocab_size", 49408)
    blocks = _blocks(_size(path, where, part, "layers", 12), width, _ratio(path, where, part))
    return blocks + 4 * ((length + vocabulary + dim) * width + length * length)


def _blocks(layers: int, width: int, ratio: float) -> int:
    """Bytes of a transformer's blocks in float32."""
    return layers * (_BLOCK + int(4 * (4 + 2 * ratio) * width * width))


def _timm_size(name: str) -> int:
    import timm
    import torch

    with torch.device("meta"):
        model = timm.create_model(name)
    return sum(4 * parameter.numel() for parameter in model.parameters())
