"""`clipkit train` in processes of their own, forked from a server that has imported everything, with signals that come
at a named step of saving."""

import json
import multiprocessing
import os
import pkgutil
import re
import signal
import socket
import sys
import warnings
from pathlib import Path

import torch

import clipkit.engine
from clipkit.engine.checkpoint import load_checkpoint

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        *("mmcv.transforms", "matplotlib.pyplot", "clipkit.hosts", "clipkit.commands.train", "clipkit.commands._stop"),
        *(f"clipkit.engine.{module.name}" for module in pkgutil.iter_modules(clipkit.engine.__path__)),
    ]
)
FILE = r"/iter_\d+\.pth"
PARTIAL = r"\.[0-9a-f]{16}\.partial"
# Steps of saving -> what Python's audit says right before them, and how often it does so up to there.
STEPS = {
    "the best one has no name yet": (rf"os.rename .*/best_error_iter_\d+\.pth{PARTIAL} ", 1),
    "the best one's forerunner is not removed yet": (r"os.remove .*/best_error_iter_\d+\.pth ", 1),
    "before the new file is there": (rf"open .*{FILE}{PARTIAL}", 1),
    "half of the new file is written": ("half", 2),
    "the new file is written and not synced": (rf"open .*{FILE}{PARTIAL}", 3),
    "the new file is synced and has no name yet": (rf"os.rename .*{FILE}{PARTIAL} ", 3),
    "the new file has its name": (rf"open .*/last_checkpoint{PARTIAL}", 2),
    "the pointer is synced and has no name yet": (rf"os.rename .*/last_checkpoint{PARTIAL} ", 2),
    "the pointer has its name": (rf"os.remove .*{FILE} ", 1),
    "one of the old files is removed": (rf"os.remove .*{FILE} ", 2),
    "in the validation after a checkpoint": (r"support\.validates (20|41|59) ", 1),
}
ANY_STEP = r"(open .*'[wax]|open .*\.partial|os\.rename|os\.remove|support)"


def start(arguments, log, *, rank=0, world=1, port=0, at=None, number=signal.SIGKILL):
    """A process that runs `clipkit train` with `arguments`; its standard error goes to the file `log`.

    Args:
        at: (pattern of what the audit says, count): when it has said so that often, the process sends `number` to
            itself.
    """
    environment = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if world > 1:
        environment |= {name: str(world) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE")}
        environment |= {name: str(rank) for name in ("RANK", "LOCAL_RANK")}
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    words = [str(word) for word in arguments]
    child = PROCESSES.Process(target=_run, args=(words, str(log), environment, at, number))
    child.start()
    return child


def start_ranks(arguments, log, world, **of_rank_0):
    """One process a rank; rank 1 writes to `log`.1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    logs = [log, *(Path(f"{log}.{rank}") for rank in range(1, world))]
    options = [of_rank_0, *({} for _ in range(1, world))]
    return [start(arguments, logs[rank], rank=rank, world=world, port=port, **options[rank]) for rank in range(world)]


def codes(children, timeout=60):
    """Waits; exit codes, None for a process that is still there after `timeout` seconds (it is killed then)."""
    found = []
    for child in children:
        child.join(timeout)
        found.append(child.exitcode)
        if child.exitcode is None:
            child.kill()
            child.join()
    return found


def outcome(work_dir, name="iter_24.pth"):
    """What a training leaves that must not depend on when it was killed: names of the checkpoints, all numbers of the
    last and of the best one, the curves of loss and validation. Parts of a curve that two runs logged must agree."""
    folder = Path(work_dir)
    assert not list(folder.rglob("*.partial"))
    curves = {}
    for file in sorted(folder.glob("*/vis_data/scalars.json")):
        for line in file.read_text().splitlines():
            try:
                record = json.loads(line)
            except ValueError:  # cut short by the kill
                continue
            for key in ("loss", "error"):
                if key in record:
                    assert curves.setdefault((key, record["step"]), record[key]) == record[key], (file, record)
    files = {file.name: load_checkpoint(file) for file in folder.glob("*.pth")}
    best = next(file for file in files if file.startswith("best_"))
    kept = {file: {part: files[file].get(part) for part in _PARTS} for file in (name, best)}
    return {"files": sorted(files), "curves": curves, "numbers": kept}


_PARTS = ("state_dict", "ema_state_dict", "optimizer", "param_schedulers")


def same(one, two):
    """Whether two trees of tensors and plain values are equal, bit for bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(two, torch.Tensor) and torch.equal(one, two)
    if isinstance(one, dict):
        return isinstance(two, dict) and one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


def _run(arguments, log, environment, at, number):
    from clipkit import cli

    os.setsid()  # a group of its own, for signals that go to all of it
    os.environ.update(environment)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of libraries: what is tried here is what the command says
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    if at is not None:
        _send(number, *at)
    sys.exit(cli.run("train", arguments))


def _send(number, pattern, count):
    if pattern == "half":
        torch.save = _half(torch.save, count)
        return
    owner = os.getpid()
    left = count

    def listen(event, args):
        nonlocal left
        if os.getpid() == owner and re.match(pattern, f"{event} {' '.join(map(str, args[:2]))} "):
            left -= 1
            if left == 0:
                os.kill(owner, number)

    sys.addaudithook(listen)


def _half(save, count):
    left = count

    def saves(content, stream):
        nonlocal left
        save(content, stream)
        left -= 1
        if left == 0:
            stream.flush()
            os.ftruncate(stream.fileno(), stream.tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    return saves
