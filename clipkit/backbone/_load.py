"""Weights of a local file or folder, made to fit a built open_clip model or refused in one line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from clipkit.errors import one_line, some
from clipkit.safe import OverBudget, file_kind, open_npz

from ._formats import read_state_dict
from ._load_source import Source, find_source
from ._transformers_folder import convert_state, read_folder_state

__all__ = ["Source", "check_activation", "find_source", "load_weights", "runs_quick_gelu"]

_TEXT_AT_ROOT = (
    "text_projection",
    "positional_embedding",
    "token_embedding.",
    "transformer.",
    "ln_final.",
    "attn_mask",
)
_IMAGE_POSITIONS = ("visual.positional_embedding", "visual.attnpool.positional_embedding", "visual.trunk.pos_embed")
_TEXT_POSITIONS = ("positional_embedding", "text.positional_embedding")


def load_weights(path: str | Path, architecture: nn.Module, *, name: str = "", skip: str = "") -> dict[str, Tensor]:
    """Reads any supported file and returns exactly the keys and shapes of `architecture.state_dict()`.

    Understood: OpenAI's TorchScript `.pt`, plain state dicts (`.pt`, `.pth`, `.bin`; also inside `state_dict`, with
    `module.` prefixes, OpenAI's or open_clip's layout, MobileCLIP's), `.safetensors`, big_vision's `.npz`, and
    transformers' CLIPModel folders. Nothing in a file is run. Position tables of another size are resized (images:
    bicubic with antialiasing, from a square grid; text: linear), as open_clip does.

    Args:
        path: the file, or a transformers folder.
        architecture: the open_clip model (may be on the meta device, except for `.npz`).
        name: what to call the architecture in messages.
        skip: prefix of keys to leave out ('text.' where the text tower could not be built), or ''.

    Returns:
        State dict on the CPU in the file's dtypes, ready for `architecture.load_state_dict`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: one line that names the file and the key: wrong kind of file, missing or unexpected keys, wrong
            shapes, or QuickGELU weights for a GELU model and the reverse.
    """
    path = Path(path)
    name = name or type(architecture).__name__
    quick_gelu: bool | None
    if path.is_dir():
        raw, path = read_folder_state(path)
        state, quick_gelu = convert_state(raw, path), None  # the architecture was built from the folder's hidden_act
    elif file_kind(path) == "npz":
        return _load_big_vision(path, architecture, name)
    else:
        weights = read_state_dict(path)
        state, quick_gelu = dict(weights.state), weights.quick_gelu
    if quick_gelu is not None:
        check_activation(path, quick_gelu, architecture, name)
    expected = architecture.state_dict()
    if skip:
        state = {key: value for key, value in state.items() if not key.startswith(skip)}
    state = _to_layout(state, architecture, expected)
    _resize_positions(path, state, expected, architecture, name)
    return _fit(path, state, expected, name)


def runs_quick_gelu(model: nn.Module) -> bool:
    """Whether any block of the model uses QuickGELU, `x * sigmoid(1.702 x)`."""
    return any(type(module).__name__ == "QuickGELU" for module in model.modules())


def check_activation(path: str | Path, quick_gelu: bool, model: nn.Module, name: str) -> None:
    """Raises ValueError where a file's activation is not the model's."""
    runs = runs_quick_gelu(model)
    if runs == quick_gelu:
        return
    trained, built = ("QuickGELU", "GELU") if quick_gelu else ("GELU", "QuickGELU")
    if quick_gelu:
        use = f"use {name + '-quickgelu'!r}, or quick_gelu in your configuration"
    else:
        use = f"use {name.removesuffix('-quickgelu')!r}" if name.endswith("-quickgelu") else "use a GELU architecture"
    raise ValueError(f"{path}: its weights were trained with {trained} and {name} runs {built}: {use}")


def _to_layout(state: dict[str, Tensor], model: nn.Module, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    from open_clip.convert import convert_state_dict

    state = convert_state_dict(model, state)  # Apple's MobileCLIP files; others pass unchanged
    in_text = any(key.startswith("text.") for key in expected)
    if in_text and not any(key.startswith("text.") for key in state):
        state = {(f"text.{k}" if k.startswith(_TEXT_AT_ROOT) else k): v for k, v in state.items()}
    elif not in_text:
        state = {k.removeprefix("text."): v for k, v in state.items()}
    for key in ("logit_scale", "logit_bias"):  # a scalar in some files, one element in others
        if key in state and key in expected and state[key].numel() == 1:
            state[key] = state[key].reshape(expected[key].shape)
    for key, value in expected.items():  # counts batches for BatchNorm's momentum=None only; no weight
        if key.endswith("num_batches_tracked") and key not in state:
            state[key] = torch.zeros(value.shape, dtype=value.dtype)
    known = {k: v for k, v in state.items() if k in expected or not k.endswith(("attn_mask", "position_ids"))}
    return known


def _resize_positions(
    path: Path, state: dict[str, Tensor], expected: Mapping[str, Tensor], model: nn.Module, name: str
) -> None:
    for key in _IMAGE_POSITIONS:
        if key not in state or key not in expected or state[key].shape == expected[key].shape:
            continue
        table, wanted = state[key], expected[key]
        if table.shape[-1] != wanted.shape[-1] or table.ndim != wanted.ndim:
            continue  # another width is another architecture: _fit names it
        prefix, grid = _grid(model, key, wanted.shape[-2])
        old = math.isqrt(table.shape[-2] - prefix)
        if old * old != table.shape[-2] - prefix:
            raise ValueError(
                f"{path}: {key} has {table.shape[-2]} positions, no square grid, and {name} needs {wanted.shape[-2]}"
            )
        batched = table if table.ndim == 3 else table[None]
        resized = resample_abs_pos_embed(batched.float(), grid, [old, old], num_prefix_tokens=prefix)
        state[key] = resized.reshape(wanted.shape).to(table.dtype)
    for key in _TEXT_POSITIONS:
        if key in state and key in expected and state[key].shape != expected[key].shape:
            table, wanted = state[key], expected[key]
            if table.ndim == 2 and table.shape[1] == wanted.shape[1]:
                resized = nn.functional.interpolate(table.float().T[None], size=wanted.shape[0], mode="linear")
                state[key] = resized[0].T.to(table.dtype)


def _grid(model: Any, key: str, positions: int) -> tuple[int, list[int]]:
    """Prefix tokens and the grid (height, width) of the architecture's own image position table."""
    if key == "visual.trunk.pos_embed":
        height, width = model.visual.trunk.patch_embed.grid_size
    elif key == "visual.attnpool.positional_embedding":
        size = model.visual.image_size
        height, width = (s // 32 for s in (size if isinstance(size, (tuple, list)) else (size, size)))
    else:
        height, width = model.visual.grid_size
    return positions - height * width, [height, width]


def _fit(path: Path, state: dict[str, Tensor], expected: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    missing = [key for key in expected if key not in state]
    unexpected = [key for key in state if key not in expected]
    if missing or unexpected:
        parts = [f"lacks {some(map(repr, missing))}"] if missing else []
        parts += [f"has {some(map(repr, unexpected))} that {name} has not"] if unexpected else []
        raise ValueError(f"{path}: does not fit {name}: {' and '.join(parts)}")
    for key, wanted in expected.items():
        if state[key].shape != wanted.shape:
            ours, theirs = tuple(wanted.shape), tuple(state[key].shape)
            raise ValueError(f"{path}: does not fit {name}: '{key}' has shape {theirs}, and {ours} is needed")
        if state[key].is_floating_point() != wanted.is_floating_point():
            raise ValueError(
                f"{path}: does not fit {name}: '{key}' is {state[key].dtype}, and {wanted.dtype} is needed"
            )
    return {key: state[key] for key in expected}


def _load_big_vision(path: Path, model: nn.Module, name: str) -> dict[str, Tensor]:
    """open_clip's reader writes into a model; NumPy refuses pickled arrays by default."""
    from open_clip.convert import load_big_vision_weights

    try:
        with open_npz(path):  # looks through it; open_clip opens it once more
            load_big_vision_weights(model, str(path))
    except OverBudget:
        raise
    except Exception as error:
        reason = one_line(f"{type(error).__name__}: {error}", 120)
        raise ValueError(f"{path}: does not fit {name}: is no big_vision file for it ({reason})") from error
    return model.state_dict()
