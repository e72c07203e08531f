"""Where a number comes from: commit, hardware, time."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import torch


def commit() -> str:
    """The checkout's commit, with `+` where files differ from it; outside a checkout, the installed version."""
    from clipkit import __version__

    folder = Path(__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return f"clipkit {__version__}"
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return f"clipkit {__version__}"


def hardware(device: str = "cuda") -> str:
    """The GPU's name, or the processor's and the number of cores; and torch's version.

    Args:
        device: 'cpu' names the processor also where there is a GPU.
    """
    if device.startswith("cuda") and torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{os.cpu_count()} cores of {model}, torch {torch.__version__}"


def now() -> str:
    """UTC, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=20
    ).stdout.strip()
