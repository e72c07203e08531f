"""Which device a command runs on, and in which precision it computes there.

Where nobody says a precision ("auto"), one rule holds for features, predictions and `--amp`: bf16 where the device
computes it fast, that is a CUDA device of capability 8 (Ampere) or newer, or a processor with AVX512-BF16 or AMX.
Elsewhere bf16 is emulated or unsupported, and fp32 is used, by `--amp` on a CUDA device fp16. What a config, an option
or a store says stays as it is said.
"""

from __future__ import annotations

import os

import torch

from clipkit.errors import ClipkitError, one_line

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def usable_device(name: str | torch.device) -> torch.device:
    """The device of a name; `auto` is `own_device()`.

    Raises:
        ClipkitError: torch does not know the device, or cannot use it here.
    """
    try:
        device = torch.device(own_device() if name == "auto" else name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without this kind of device
        reason = one_line(one_line(error).partition(". ")[0], 160)
        raise ClipkitError(f"device {name}: cannot be used here ({reason}); give cpu, or leave it out") from None
    return device


def images_at_once(device: torch.device | str) -> int:
    """Pictures in a pass of CLIP; on a CPU fewer, for what lies between two layers is to stay in its cache."""
    return 32 if torch.device(device).type == "cpu" else 64


def own_device() -> str:
    """This process's GPU (`cuda:N`, or `mps` on a Mac), or `cpu`."""
    if torch.cuda.is_available():
        local = os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or "0"
        return f"cuda:{int(local) % torch.cuda.device_count()}"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bf16; torch computes in it elsewhere too, slower than in fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # public in none of the versions from 2.6 on
    return device.type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in probes)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The dtype for `torch.autocast`, or None for plain fp32.

    Args:
        precision: `fp32`, `bf16`, `fp16`, or `auto`: bf16 where `has_fast_bf16`, else fp32.

    Raises:
        ValueError: for another name, or fp16 on a CPU (it would overflow without a scaler there).
    """
    if precision == "auto":
        return torch.bfloat16 if has_fast_bf16(device) else None
    if precision not in PRECISIONS:
        raise ValueError(f"precision '{precision}' is unknown; known: auto, {', '.join(PRECISIONS)}")
    if precision == "fp16" and device.type == "cpu":
        raise ValueError("precision 'fp16' needs a GPU; on a CPU use 'bf16' or 'fp32'")
    return PRECISIONS[precision]
