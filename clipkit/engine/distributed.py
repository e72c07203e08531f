"""Process groups on a CPU, on a GPU, and on fewer GPUs than processes (mmengine's own set-up assumes one GPU each)."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from datetime import timedelta

import torch
import torch.distributed as dist

from clipkit.errors import ClipkitError, one_line

LAUNCHERS = ("auto", "none", "pytorch", "slurm", "mpi")
# torch's variable -> the launcher's own.
_VARIABLES = {
    "pytorch": {name: name for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")},
    "slurm": {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"},
    "mpi": {
        "RANK": "OMPI_COMM_WORLD_RANK",
        "WORLD_SIZE": "OMPI_COMM_WORLD_SIZE",
        "LOCAL_RANK": "OMPI_COMM_WORLD_LOCAL_RANK",
    },
}
_PROCESSES_HERE = {
    "pytorch": "LOCAL_WORLD_SIZE",
    "slurm": "SLURM_TASKS_PER_NODE",  # such as 4(x2),3
    "mpi": "OMPI_COMM_WORLD_LOCAL_SIZE",
}
_STARTED_BY = {"pytorch": "torchrun", "slurm": "srun", "mpi": "Open MPI's mpirun"}
_MEETING = timedelta(minutes=5)  # how long processes wait for each other at the start


def resolve_launcher(name: str) -> str:
    """'auto' is 'pytorch' under torchrun and 'none' elsewhere."""
    if name != "auto":
        return name
    under_torchrun = all(key in os.environ for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"))
    return "pytorch" if under_torchrun else "none"


def init_process_group(launcher: str, timeout: float | None = None) -> None:
    """Starts the launcher's group before mmengine does: gloo without a GPU or where processes share one, else NCCL.

    Args:
        launcher: 'none' starts nothing.
        timeout: seconds that a collective operation may wait; None: torch's own.

    Raises:
        ClipkitError: the launcher's variables are missing or wrong, or the processes do not find each other.
    """
    if launcher == "none" or dist.is_initialized():
        return
    numbers = {name: _number(theirs, launcher) for name, theirs in _VARIABLES[launcher].items()}
    if numbers["RANK"] >= numbers["WORLD_SIZE"]:
        raise ClipkitError(f"--launcher {launcher}: RANK is {numbers['RANK']} of WORLD_SIZE {numbers['WORLD_SIZE']}")
    os.environ.update({name: str(number) for name, number in numbers.items()})
    _set_meeting_point(launcher)
    here = [int(found) for found in re.findall(r"(?<!x)\b\d+", os.environ.get(_PROCESSES_HERE[launcher], ""))]
    local_size = max(here, default=numbers["WORLD_SIZE"])
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if devices:
        torch.cuda.set_device(numbers["LOCAL_RANK"] % devices)
    where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    try:
        store, rank, world_size = next(dist.rendezvous("env://", timeout=_MEETING))
        dist.init_process_group(
            "nccl" if 0 < local_size <= devices else "gloo",
            store=store,
            rank=rank,
            world_size=world_size,
            timeout=None if timeout is None else timedelta(seconds=timeout),
        )
    except (RuntimeError, ValueError, OSError) as error:  # torch's DistNetworkError is a RuntimeError
        text = one_line(error, 200)
        if "EADDRINUSE" in text or "ddress already in use" in text:
            raise ClipkitError(
                f"--launcher {launcher}: port {os.environ['MASTER_PORT']} of this machine is in use, by another run? "
                "Choose another, as MASTER_PORT or `torchrun --master-port`"
            ) from error
        raise ClipkitError(
            f"--launcher {launcher}: process {numbers['RANK']} of {numbers['WORLD_SIZE']} did not meet the others at "
            f"{where} ({text}); are all started, and is that the machine of process 0?"
        ) from error


def _number(variable: str, launcher: str) -> int:
    text = os.environ.get(variable)
    if text is None:
        raise ClipkitError(
            f"--launcher {launcher}: {variable} is not set, as {_STARTED_BY[launcher]} does: start the command by "
            f"{_STARTED_BY[launcher]}, or leave --launcher out for one process"
        )
    if not text.isdecimal():
        raise ClipkitError(f"--launcher {launcher}: {variable} is {text!r}, and a number is needed")
    return int(text)


def _set_meeting_point(launcher: str) -> None:
    """MASTER_ADDR and MASTER_PORT, where process 0 listens; torchrun sets both, the others leave them to us."""
    if launcher == "slurm" and not os.environ.get("MASTER_ADDR"):
        os.environ["MASTER_ADDR"] = _first_of_slurm(os.environ.get("SLURM_NODELIST", ""))
    if launcher != "pytorch":
        os.environ.setdefault("MASTER_PORT", "29500")
    for variable in ("MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(variable):
            what = "name or address" if variable == "MASTER_ADDR" else "free port"
            raise ClipkitError(
                f"--launcher {launcher}: {variable} is not set; set it to a {what} of process 0's machine"
            )
    address, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    if not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ClipkitError(f"--launcher {launcher}: MASTER_PORT is {port!r}, and a number from 1 to 65535 is needed")
    try:  # torch would ask again and again, for minutes
        socket.getaddrinfo(address, int(port))
    except (OSError, UnicodeError) as error:
        raise ClipkitError(
            f"--launcher {launcher}: MASTER_ADDR is {address!r}, which is not known ({one_line(error)}); set it to the "
            "name or address of process 0's machine"
        ) from error


def _first_of_slurm(nodes: str) -> str:
    if not re.search(r"[\[,]", nodes):
        return nodes
    if shutil.which("scontrol") is None:
        raise ClipkitError(f"--launcher slurm: there is no scontrol to say the first of {nodes}: set MASTER_ADDR to it")
    said = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=False)
    return said.stdout.partition("\n")[0].strip()
