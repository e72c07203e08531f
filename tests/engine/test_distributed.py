"""A launcher without its environment, or with a wrong one, is one line; a right one starts a group."""

import os
import socket

import pytest
import torch.distributed as dist

from clipkit.engine.distributed import init_process_group
from clipkit.errors import ClipkitError

_OURS = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "SLURM_", "OMPI_", "TORCHELASTIC_")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    monkeypatch.setattr(os, "environ", {key: v for key, v in os.environ.items() if not key.startswith(_OURS)})


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize("launcher", ["pytorch", "slurm", "mpi"])
def test_a_launcher_without_its_environment_is_one_line(launcher):
    with pytest.raises(ClipkitError, match=f"--launcher {launcher}: .* is not set, as .* does: start the command by"):
        init_process_group(launcher)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"MASTER_ADDR": "no.such.host.invalid"}, "MASTER_ADDR is 'no.such.host.invalid', which is not known"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR is not set"),
        ({"MASTER_PORT": "high"}, "MASTER_PORT is 'high', and a number"),
        ({"MASTER_PORT": "70000"}, "MASTER_PORT is '70000', and a number"),
        ({"RANK": "3"}, "RANK is 3 of WORLD_SIZE 1"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', and a number"),
    ],
)
def test_a_wrong_variable_is_named(wrong, said, free_port):
    right = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port}
    os.environ.update({**right, **wrong})
    with pytest.raises(ClipkitError, match=said):
        init_process_group("pytorch")
    assert not dist.is_initialized()


def test_a_port_in_use_is_named():
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = str(other.getsockname()[1])
        os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        with pytest.raises(ClipkitError, match=f"port {port} of this machine is in use"):
            init_process_group("pytorch")


def test_slurms_list_of_machines_needs_slurm(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    os.environ.update(SLURM_PROCID="0", SLURM_NTASKS="1", SLURM_LOCALID="0", SLURM_NODELIST="n[1-3]")
    with pytest.raises(ClipkitError, match=r"there is no scontrol to say the first of n\[1-3\]: set MASTER_ADDR"):
        init_process_group("slurm")
