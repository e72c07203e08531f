"""SIGTERM during `clipkit train` leaves a checkpoint and one line, with code 143; going on changes no number."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import tiny_parts
from support.train_command import codes, outcome, same, start, start_ranks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM")
WAY_ON = r" is saved: the same command with --resume goes on from there\n"
SCALARS = r"open .*/scalars\.json a\+ "  # once a step and once a validation


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text(tiny_parts.CONFIG)
    return path


def arguments(config, work_dir, *options):
    return [config, "--work-dir", work_dir, "--resume", *(("--cfg-options", *options) if options else ())]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Number of processes -> what a training leaves that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "tiny.py").write_text(tiny_parts.CONFIG)
    for world in (1, 2):
        children = start_ranks(arguments(folder / "tiny.py", folder / str(world)), folder / "said", world)
        assert codes(children) == [0] * world
    return {world: outcome(folder / str(world)) for world in (1, 2)}


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize(
    ("at", "step"),
    [
        ((SCALARS, 5), 5),
        ((r"os.rename .*/iter_6\.pth\.", 1), 6),
        ((r"support\.validates 13 ", 1), 14),  # in the validation of step 14, with the averaged weights
        ((SCALARS, 27), 24),
    ],
    ids=["in a step", "while a checkpoint is saved", "in a validation", "in the last step"],
)
def test_the_step_ends_and_is_saved(config, tmp_path, whole, world, at, step):
    work_dir, log = tmp_path / "w", tmp_path / "said"
    found = codes(start_ranks(arguments(config, work_dir), log, world, at=at, number=signal.SIGTERM))
    assert found[0] == 143
    assert re.fullmatch(rf"stopped after step {step} of 24; .*/w/iter_{step}\.pth{WAY_ON}", log.read_text())
    if not at[0].startswith("support"):  # else the other process goes on until it misses the first
        assert found == [143] * world and not any(file.read_text() for file in tmp_path.glob("said.*"))
    assert codes(start_ranks(arguments(config, work_dir), log, world)) == [0] * world
    assert same(outcome(work_dir), whole[world])


def test_a_sum_of_gradients_is_not_cut(config, tmp_path):
    options = ["optim_wrapper.accumulative_counts=2"]
    children = [start(arguments(config, tmp_path / "w", *options), tmp_path / "said", at=(SCALARS, 5), number=15)]
    assert codes(children) == [143]
    assert "stopped after step 6 of 24" in (tmp_path / "said").read_text()


def test_where_epochs_are_counted_the_last_one_stays(config, tmp_path):
    loop = "dict(type='EpochBasedTrainLoop', max_epochs=9)"
    text = tiny_parts.CONFIG.replace("dict(type='IterBasedTrainLoop', max_iters=24, val_interval=7)", loop)
    text = text.replace("sampler=dict(type='ResumableInfiniteSampler')", "sampler=dict(type='DefaultSampler')")
    config.write_text(text.replace("interval=3,", "interval=1, by_epoch=True,"))
    options = ["param_scheduler=None"]
    children = [start(arguments(config, tmp_path / "w", *options), tmp_path / "said", at=(SCALARS, 16), number=15)]
    assert codes(children) == [143]
    assert re.fullmatch(rf"stopped after step 1\d of 54; .*/w/epoch_2\.pth{WAY_ON}", (tmp_path / "said").read_text())


def processes_of(group):
    said = subprocess.run(["pgrep", "-g", str(group)], capture_output=True, text=True, check=False).stdout
    return sorted(map(int, said.split()))


@pytest.mark.slow  # of 27 runs beside other work one had not ended after 30 s, why is not known
def test_a_batch_system_that_ends_all_processes(config, tmp_path):
    """SIGTERM to one after the other, the workers first; SIGKILL to what is left of them after a grace."""
    work_dir, log = tmp_path / "w", tmp_path / "said"
    endless = ["train_cfg.max_iters=100000", "param_scheduler.0.end=100000", "train_dataloader.num_workers=2"]
    endless += ["train_dataloader.persistent_workers=True", "val_dataloader.num_workers=1", "train_cfg.val_interval=50"]
    child = start(arguments(config, work_dir, *endless), log)
    while not list(work_dir.glob("iter_*.pth")):
        assert child.is_alive()
        time.sleep(0.01)
    processes = processes_of(child.pid)
    assert processes[0] == child.pid and len(processes) > 2
    for process in processes[::-1]:
        with contextlib.suppress(ProcessLookupError):  # a validation's worker, which ended by itself
            os.kill(process, signal.SIGTERM)
        time.sleep(0.3)
    child.join(30)
    left = processes_of(child.pid)
    if left:
        os.killpg(child.pid, signal.SIGKILL)
    assert child.exitcode == 143 and not left
    found = re.fullmatch(rf"stopped after step (\d+) of 100000; .*/w/iter_\1\.pth{WAY_ON}", log.read_text())
    assert found
    end = [f"train_cfg.max_iters={int(found[1]) + 3}", *endless[1:]]
    again = [start(arguments(config, tmp_path / name, *end), tmp_path / "again") for name in ("w", "whole")]
    assert codes(again) == [0, 0]
    name = f"iter_{int(found[1]) + 3}.pth"
    assert outcome(work_dir, name)["curves"] == outcome(tmp_path / "whole", name)["curves"]


@pytest.fixture
def torchrun(config, tmp_path):
    """An endless training of two processes under torchrun that has saved a checkpoint."""
    options = ["train_cfg.max_iters=100000", "param_scheduler.0.end=100000"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", "-m", "clipkit"]
    command += ["train", *map(str, arguments(config, tmp_path / "w", *options))]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "w").glob("iter_*.pth")):
        assert run.poll() is None
        time.sleep(0.1)
    yield run
    run.kill()


@pytest.mark.slow
def test_torchrun_that_is_told_to_end(torchrun):
    torchrun.send_signal(signal.SIGTERM)
    said = torchrun.communicate(timeout=60)[1]
    assert len(re.findall(rf"stopped after step (\d+) of 100000; .*/w/iter_\1\.pth{WAY_ON}", said)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_torchrun_with_a_process_that_dies(torchrun, rank):
    workers = subprocess.run(["pgrep", "-P", str(torchrun.pid)], capture_output=True, text=True, check=True).stdout
    os.kill(sorted(map(int, workers.split()))[rank], signal.SIGKILL)
    said = torchrun.communicate(timeout=60)[1]
    assert torchrun.returncode and said.count("\nerror: another process of this run stopped") == 1
