"""Loads the frozen CLIP that makes a store, with its part of the store's key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from clipkit.adapters import CLIPTeacher
from clipkit.backbone import ClipModel, FrozenCLIP
from clipkit.device import PRECISIONS, autocast_dtype, images_at_once
from clipkit.errors import ClipkitError


def load_frozen(
    name: str, pretrained: str | None = None, precision: str = "fp32", device: torch.device | str = "cpu"
) -> tuple[FrozenCLIP, dict[str, Any]]:
    """The encoder, and the part of a store's key that it makes. `weights` there is the hash in float32, whatever
    precision it computes in.

    Args:
        name, pretrained: see `FrozenCLIP.from_pretrained`.
        precision: 'fp32', 'bf16', 'fp16' or 'auto', see `clipkit.device`.
    """
    device = torch.device(device)
    dtype = autocast_dtype(precision, device)
    chosen = precision_name(dtype)
    clip = FrozenCLIP.from_pretrained(name, pretrained, device=device)
    weights = clip.weights_hash
    if dtype is not None:
        clip = FrozenCLIP.from_pretrained(name, pretrained, precision=chosen, device=device)
    return clip, {"weights": weights, "precision": chosen, "preprocessing": preprocessing(clip)}


def load_teacher(
    name: str,
    pretrained: str | None,
    precision: str,
    device: torch.device,
    scales: Sequence[float] = (1.0, 1.5),
    order: str = "sum-normalize",
    resize_mode: str = "squash",
) -> tuple[CLIPTeacher, dict[str, Any]]:
    """The teacher of regions, and the part of the store's key that it makes, see `load_frozen` and `CLIPTeacher`."""
    clip, made_by = load_frozen(name, pretrained, precision, device)
    teacher = CLIPTeacher(clip, scales, order, 256 if device.type == "cuda" else images_at_once(device), resize_mode)
    crops = {"scales": list(scales), "order": order}
    resized = own_resizing(made_by["preprocessing"], resize_mode, f"antialiased {teacher.interpolation}")
    return teacher, {**made_by, "crops": crops, "preprocessing": resized}


def preprocessing(clip: ClipModel) -> dict[str, Any]:
    """How the model's own preprocessing makes its input, as plain values."""
    return {
        "size": list(clip.image_size),
        "resize_mode": clip.preprocess_cfg.get("resize_mode", "shortest"),
        "interpolation": clip.preprocess_cfg.get("interpolation", "bicubic"),
        "mean": list(clip.preprocess_cfg["mean"]),
        "std": list(clip.preprocess_cfg["std"]),
    }


def own_resizing(made: dict[str, Any], resize_mode: str, resampler: str) -> dict[str, Any]:
    """A `preprocessing` in which clipkit resizes on the device, and not the model's own preprocessing."""
    kept = {key: value for key, value in made.items() if key != "interpolation"}
    return {**kept, "resize_mode": resize_mode, "resampler": resampler}


def precision_name(dtype: torch.dtype | None) -> str:
    """What a store's key calls the dtype of a computation; None is float32."""
    return next(name for name, value in PRECISIONS.items() if value == dtype)


def finite(rows: Tensor) -> Tensor:
    """The rows as they are.

    Raises:
        ClipkitError: a number that is not finite, which no store may keep.
    """
    if not rows.isfinite().all():
        raise ClipkitError("CLIP's embeddings are not finite numbers; use precision bf16 or fp32")
    return rows
