"""Peak memory of what runs between two calls: resident memory of this process (Linux), or allocated GPU memory."""

from pathlib import Path

import torch

MIB = 2**20


def reset_peak(device: str) -> int:
    """Forgets the peak; returns the bytes in use now."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return _status_bytes("VmRSS")


def read_peak(device: str) -> int:
    """Bytes at the peak since `reset_peak`."""
    return torch.cuda.max_memory_allocated() if device.startswith("cuda") else _status_bytes("VmHWM")


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {field}: this benchmark needs Linux")
