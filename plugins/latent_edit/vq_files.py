"""Generators from folders and files that others made."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from clipkit_plugins.latent_edit.vqgan import VQGAN
from safetensors.torch import save_file
from torch import Tensor

from clipkit.errors import ClipkitError, shown
from clipkit.files import write_text, writing
from clipkit.safe import load_tensors, read_json

_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
_DOWN = {"DownEncoderBlock2D": False, "AttnDownEncoderBlock2D": True}
_UP = {"UpDecoderBlock2D": False, "AttnUpDecoderBlock2D": True}
# Numbers that a config may name, with their least, greatest and default values.
_NUMBERS = {
    "layers_per_block": (1, 16, 1),
    "latent_channels": (1, 4096, 3),
    "num_vq_embeddings": (1, 1 << 20, 256),
    "norm_num_groups": (1, 4096, 32),
    "vq_embed_dim": (1, 4096, None),
}
# What only one value of is known here; it is also what a config without it means.
_FIXED = {"in_channels": 3, "out_channels": 3, "act_fn": "silu", "norm_type": "group", "lookup_from_codebook": False}
_IGNORED = {"sample_size", "scaling_factor", "force_upcast", "mid_block_add_attention", "_class_name"}
_OLD_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def read_vq_model(folder: str | os.PathLike) -> VQGAN:
    """A folder of diffusers' VQModel: `config.json` and `diffusion_pytorch_model.safetensors` (or `.bin`, read without
    running anything of it).

    Raises:
        ClipkitError: one line: the file, what is wrong, what to do. Each weight must be there, in its shape, and no
            other.
    """
    path = Path(folder)
    if path.is_file():
        raise ClipkitError(_other_file(path))
    if not path.is_dir():
        raise ClipkitError(f"{path}: no such folder; give one with config.json, as diffusers saves a VQModel")
    files = [path / name for name in _WEIGHTS if (path / name).is_file()]
    try:
        config = read_json(path / "config.json")
        if not files:
            raise ClipkitError(f"{path}: has no {_WEIGHTS[0]}; save the VQModel with save_pretrained")
        state = load_tensors(files[0])
    except (FileNotFoundError, ValueError) as error:
        raise ClipkitError(str(error)) from error
    try:
        options = _options(config)
    except ClipkitError as error:
        raise ClipkitError(f"{path / 'config.json'}: {error}") from error
    with torch.device("meta"):  # nothing is allocated for a config that does not fit its file
        model = VQGAN(**options)
    model.load_state_dict(_checked(state, model.state_dict(), files[0]), assign=True)
    return model.float().eval().requires_grad_(False)


def write_vq_model(model: VQGAN, folder: str | os.PathLike, **options: Any) -> None:
    """Writes such a folder, which diffusers reads too.

    Args:
        options: those that `model` was made with.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    widths = list(options["widths"])
    attention = options.get("attention") or [False] * len(widths)
    decoder_attention = options.get("decoder_attention") or [False] * len(widths)
    named = {"layers": "layers_per_block", "codes": "num_vq_embeddings", "code_channels": "vq_embed_dim"}
    named |= {"groups": "norm_num_groups", "latent_channels": "latent_channels"}
    config = {
        "_class_name": "VQModel",
        "block_out_channels": widths,
        "down_block_types": [next(name for name, has in _DOWN.items() if has == here) for here in attention],
        "up_block_types": [next(name for name, has in _UP.items() if has == here) for here in decoder_attention],
        "mid_block_add_attention": options.get("middle_attention", True),
        **{key: options[name] for name, key in named.items() if name in options},
    }
    state = {name: value.detach().contiguous().cpu() for name, value in model.state_dict().items()}
    with writing(path / _WEIGHTS[0]) as partial:
        save_file(state, partial)
    write_text(path / "config.json", json.dumps(config, indent=2) + "\n")


def _other_file(path: Path) -> str:
    kind = {".pkl": "a pickle (StyleGAN's hold programs)", ".ckpt": "a Lightning checkpoint (taming-transformers')"}
    what = kind.get(path.suffix.lower(), "a file")
    return f"{path}: is {what}, which is not read; --generator takes a folder of diffusers' VQModel (config.json)"


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    name = config.get("_class_name", "VQModel")
    if name != "VQModel":
        raise ClipkitError(f"is of {shown(name, 40)}, not of diffusers' VQModel")
    for key, only in _FIXED.items():
        if config.get(key, only) != only:
            raise ClipkitError(f"{key} is {shown(config[key], 40)}; only {only} is known")
    numbers = {}
    for key, (least, most, default) in _NUMBERS.items():
        value = config.get(key, default)
        if value is not None and not (type(value) is int and least <= value <= most):
            raise ClipkitError(f"{key} is {shown(value, 40)}, not a number from {least} to {most}")
        numbers[key] = value
    widths, groups = config.get("block_out_channels", [64]), numbers["norm_num_groups"]
    fits = isinstance(widths, list) and 0 < len(widths) <= 8 and all(type(w) is int for w in widths)
    if not fits or not all(0 < width <= 1 << 14 and width % groups == 0 for width in widths):
        raise ClipkitError(f"block_out_channels is {shown(widths, 60)}, not up to 8 multiples of norm_num_groups")
    attention = {}
    for key, known in (("down_block_types", _DOWN), ("up_block_types", _UP)):
        kinds = config.get(key, [next(iter(known))])
        if not isinstance(kinds, list) or len(kinds) != len(widths) or not all(str(kind) in known for kind in kinds):
            raise ClipkitError(f"{key} is {shown(kinds, 80)}; known: one of {', '.join(known)} for each width")
        attention[key] = [known[kind] for kind in kinds]
    middle = config.get("mid_block_add_attention", True)
    if not isinstance(middle, bool):
        raise ClipkitError(f"mid_block_add_attention is {shown(middle, 40)}, neither true nor false")
    strange = {
        key for key in config if not key.startswith("_") and key not in {*_FIXED, *_NUMBERS, *_IGNORED, *attention}
    } - {"block_out_channels"}
    if strange:
        raise ClipkitError(f"{shown(min(strange), 40)} is unknown; remove it if it means nothing")
    return {
        "widths": widths, "layers": numbers["layers_per_block"], "latent_channels": numbers["latent_channels"],
        "codes": numbers["num_vq_embeddings"], "code_channels": numbers["vq_embed_dim"], "groups": groups,
        "attention": attention["down_block_types"], "decoder_attention": attention["up_block_types"],
        "middle_attention": middle,
    }  # fmt: skip


def _checked(state: Mapping[str, Any], known: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        name = str(key)
        for old, new in _OLD_NAMES.items():
            name = name.replace(old, new)
        if name not in known:
            raise ClipkitError(f"{path}: has {shown(key, 80)}, which no VQModel of its config.json has")
        want, shape = tuple(known[name].shape), tuple(getattr(value, "shape", ()))
        if not isinstance(value, Tensor) or shape != want or not value.is_floating_point():
            raise ClipkitError(f"{path}: {shown(key, 80)} is no tensor of {want}, as its config.json says")
        found[name] = value
    if lacking := sorted(set(known) - set(found)):
        raise ClipkitError(f"{path}: lacks {lacking[0]} and {len(lacking) - 1} more weights of its config.json")
    return found
