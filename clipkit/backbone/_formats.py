"""Which layout of weights a local file holds: OpenAI's, open_clip's, or one that belongs elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clipkit.errors import some
from clipkit.safe import file_kind, load_tensors

from ._load_torchscript import read_torchscript

__all__ = ["FileWeights", "read_state_dict"]

_WRAPS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.", "clip.")
# OpenAI's own exports carry these three numbers beside the weights; nobody else does.
_OPENAI_MARKS = ("input_resolution", "context_length", "vocab_size")


@dataclass(frozen=True)
class FileWeights:
    """A flat state dict and what its file says of the activation (None: nothing)."""

    state: dict[str, torch.Tensor]
    quick_gelu: bool | None = None


def read_state_dict(path: str | Path) -> FileWeights:
    """Reads OpenAI's `.pt`, a plain or wrapped state dict (`.pt`, `.pth`, `.bin`), or `.safetensors`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: one line naming the file and what it is instead.
    """
    path = Path(path)
    if file_kind(path) == "torchscript":
        state, quick_gelu = read_torchscript(path)
        _refuse_foreign(path, state, {})
        return FileWeights(state, quick_gelu)
    content = load_tensors(path)
    state = _unwrap(content)
    _refuse_foreign(path, state, content)
    openai = any(mark in state for mark in _OPENAI_MARKS)
    for mark in _OPENAI_MARKS:
        state.pop(mark, None)
    for key, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"{path}: '{key}' is a {type(value).__name__}, not a tensor; keys: {some(map(repr, content))}: "
                "save the model's state_dict()"
            )
    return FileWeights(state, True if openai else None)


def _unwrap(content: Mapping[str, Any]) -> dict[str, Any]:
    inner: Mapping[str, Any] = content
    for wrap in _WRAPS:
        if isinstance(content.get(wrap), Mapping):
            inner = content[wrap]
            break
    state = {str(key): value for key, value in inner.items()}
    for _ in _PREFIXES:  # DataParallel, torch.compile and a holder can wrap one another in any order
        for prefix in _PREFIXES:
            if state and all(key.startswith(prefix) for key in state):
                state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _refuse_foreign(path: Path, state: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """One sentence for each kind of file that people give by mistake."""
    if not state:
        raise ValueError(f"{path}: holds no tensors")
    if any(key.startswith(("vision_model.", "text_model.")) for key in state):
        raise ValueError(
            f"{path}: is in the layout of transformers' CLIPModel; its config.json says activation and heads, so give "
            f"the folder: from_pretrained('local-dir:{path.parent}')"
        )
    if isinstance(content.get("meta"), Mapping) or "message_hub" in content:
        raise ValueError(f"{path}: is an mmengine checkpoint, not CLIP weights: load it with clipkit.engine")
    if any(key.startswith("trunk.") for key in state) or ("visual.proj" not in state and "conv1.weight" in state):
        raise ValueError(f"{path}: holds one tower only, and both of a CLIP are needed; keys: {some(map(repr, state))}")
    if not any(key.startswith(("visual.", "image_encoder.")) for key in state):
        raise ValueError(f"{path}: holds no CLIP (no key starts with 'visual.'); keys: {some(map(repr, state))}")
