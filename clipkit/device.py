"""Which device a command runs on."""

import os

import torch

from clipkit.errors import ClipkitError, one_line


def usable_device(name: str | torch.device) -> torch.device:
    """Raises ClipkitError for a device that torch does not know or cannot use here."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without this kind of device
        reason = one_line(error).partition(". ")[0][:160]
        raise ClipkitError(f"device {name}: cannot be used here ({reason}); give cpu, or leave it out") from None
    return device


def own_device() -> str:
    """This process's GPU, or the CPU."""
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
