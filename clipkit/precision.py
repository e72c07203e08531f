"""Which reduced precision a device computes fast."""

import torch

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def cpu_has_bf16() -> bool:
    """True where the processor has instructions for bf16 (AVX512-BF16, AMX); elsewhere bf16 is slower than fp32."""
    for probe in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        check = getattr(torch.cpu, probe, None)
        if check is not None and check():
            return True
    return False


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The dtype for `torch.autocast`, or None for plain fp32.

    Args:
        precision: `fp32`, `bf16`, `fp16`, or `auto`: bf16 where the device has it in hardware, else fp32.

    Raises:
        ValueError: for another name, or fp16 on a CPU (it would overflow without a scaler there).
    """
    if precision == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else device.type == "cpu" and cpu_has_bf16()
        return torch.bfloat16 if fast else None
    if precision not in PRECISIONS:
        raise ValueError(f"precision '{precision}' is unknown; known: auto, {', '.join(PRECISIONS)}")
    if precision == "fp16" and device.type == "cpu":
        raise ValueError("precision 'fp16' needs a GPU; on a CPU use 'bf16' or 'fp32'")
    return PRECISIONS[precision]
