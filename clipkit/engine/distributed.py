"""Process groups on a CPU, on a GPU, and on fewer GPUs than processes (mmengine's own set-up assumes one GPU each)."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist

LAUNCHERS = ("auto", "none", "pytorch", "slurm", "mpi")


def resolve_launcher(name: str) -> str:
    """'auto' is 'pytorch' under torchrun and 'none' elsewhere."""
    if name != "auto":
        return name
    under_torchrun = all(key in os.environ for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"))
    return "pytorch" if under_torchrun else "none"


def init_process_group(launcher: str) -> None:
    """Starts torchrun's group before mmengine does: gloo without a GPU or where processes share one, else NCCL."""
    if launcher != "pytorch" or dist.is_initialized():
        return
    local_rank = int(os.environ["LOCAL_RANK"])
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if devices:
        torch.cuda.set_device(local_rank % devices)
    dist.init_process_group("nccl" if 0 < local_size <= devices else "gloo")
