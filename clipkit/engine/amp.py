"""Mixed precision that also runs on a CPU (mmengine's wrapper asserts a GPU)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper

from clipkit.device import autocast_dtype, own_device
from clipkit.engine.registry import OPTIM_WRAPPERS
from clipkit.engine.traps import clip_gradients
from clipkit.errors import ClipkitError

_DTYPES = {
    "bf16": torch.bfloat16,
    "bfloat16": torch.bfloat16,
    "fp16": torch.float16,
    "float16": torch.float16,
}


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(OptimWrapper):
    """Forward in bf16 or fp16 by autocast, parameters and optimiser in fp32; the loss is scaled for fp16 only.

    Args:
        dtype: 'bf16' or 'fp16'; None takes what the device computes fast, see `clipkit.device`.
        loss_scale: first loss scale for fp16 (it adapts itself).
        **kwargs: of mmengine's `OptimWrapper`.

    Raises:
        ClipkitError: fp16 without a GPU, or an unknown dtype.
    """

    def __init__(self, dtype: str | None = None, loss_scale: float = 2.0**16, **kwargs: Any) -> None:
        device = torch.device(own_device())
        self.device_type = device.type
        self.dtype = resolve_dtype(dtype, device)
        if self.dtype is None:
            print_log(f"--amp: this {device.type} has no fast bf16; training in fp32", "current", logging.WARNING)
        super().__init__(**kwargs)
        self.loss_scaler = torch.amp.GradScaler(
            self.device_type, init_scale=loss_scale, enabled=self.dtype is torch.float16
        )

    @contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast(self.device_type, self.dtype, self.dtype is not None):
            yield

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        super().backward(self.loss_scaler.scale(loss), **kwargs)

    def step(self, **kwargs: Any) -> None:
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            clip_gradients(self)
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()

    def state_dict(self) -> dict:
        return {**super().state_dict(), "loss_scaler": self.loss_scaler.state_dict()}

    def load_state_dict(self, state_dict: dict) -> None:
        state_dict = dict(state_dict)
        scaler = state_dict.pop("loss_scaler", None)
        if scaler:
            self.loss_scaler.load_state_dict(scaler)
        super().load_state_dict(state_dict)


def resolve_dtype(name: str | None, device: torch.device) -> torch.dtype | None:
    """The autocast dtype of a name, None for fp32; see `AmpOptimWrapper`."""
    if name is None or name == "auto":
        return autocast_dtype("auto", device) or (torch.float16 if device.type == "cuda" else None)
    if name not in _DTYPES:
        raise ClipkitError(f'--amp "{name}" is not known; use bf16 or fp16')
    if device.type != "cuda" and _DTYPES[name] is torch.float16:
        raise ClipkitError("--amp fp16 needs a CUDA device; elsewhere use --amp bf16 or leave --amp out")
    return _DTYPES[name]
