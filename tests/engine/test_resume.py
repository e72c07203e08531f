"""A run that is killed, also while it writes a checkpoint, goes on bit for bit; two processes compute what one does."""

import json
import multiprocessing
import os
import pkgutil
import random
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import clipkit.engine
from clipkit.engine.build import build_runner
from clipkit.engine.checkpoint import load_checkpoint
from clipkit.engine.sampler import Draw, ResumableInfiniteSampler, SeededDataset
from clipkit.errors import ClipkitError
from support import tiny_parts
from support.training import train


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text(tiny_parts.CONFIG)
    return path


@pytest.fixture(scope="module")
def processes():
    """A server that has imported everything and forks a clean child for each run."""
    context = multiprocessing.get_context("forkserver")
    old = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    parts = [f"clipkit.engine.{module.name}" for module in pkgutil.iter_modules(clipkit.engine.__path__)]
    context.set_forkserver_preload(["mmcv.transforms", *parts])
    yield context
    if old is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = old


def losses(work_dir):
    """iteration -> loss of all logs of a work folder; parts that overlap must agree exactly."""
    found = {}
    for file in sorted(Path(work_dir).glob("*/vis_data/scalars.json")):
        for line in file.read_text().splitlines():
            try:
                record = json.loads(line)
            except ValueError:  # cut short by the kill
                continue
            if "loss" in record:
                assert found.setdefault(record["step"], record["loss"]) == record["loss"], (file, record)
    return found


def finish(processes, *args, **kwargs):
    child = processes.Process(target=train, args=args, kwargs=kwargs)
    child.start()
    child.join(120)
    assert child.exitcode == 0


def same_weights(a, b, name="iter_24.pth"):
    one, two = load_checkpoint(Path(a) / name), load_checkpoint(Path(b) / name)
    for part in ("state_dict", "ema_state_dict"):
        assert one[part].keys() == two[part].keys()
        for key in one[part]:
            assert torch.equal(one[part][key], two[part][key]), key
    return one


def test_resumed_run_equals_unbroken_run(config, tmp_path):
    build_runner(config, work_dir=tmp_path / "whole").train()
    # The schedule is the whole run's; the loop stops early.
    runner = build_runner(config, work_dir=tmp_path / "parts", cfg_options={"train_cfg.max_iters": 11})
    runner.train()
    build_runner(config, work_dir=tmp_path / "parts", resume=True).train()
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "whole")) == 24
    saved = same_weights(tmp_path / "whole", tmp_path / "parts")
    assert saved["meta"]["iter"] == 24 and saved["meta"]["seed"] == 0


def test_weights_to_start_from_are_not_what_a_killed_run_goes_on_from(config, tmp_path):
    first, mine = tmp_path / "first", tmp_path / "mine"
    build_runner(config, work_dir=first, cfg_options={"train_cfg.max_iters": 3}).train()
    start = {"load_from": str(first / "iter_3.pth")}
    again = build_runner(config, work_dir=mine, resume=True, cfg_options={**start, "train_cfg.max_iters": 6})
    again.train()  # nothing to go on from yet: it starts at 0 with those weights
    assert min(losses(mine)) == 1
    build_runner(config, work_dir=mine, cfg_options={**start, "resume": True, "train_cfg.max_iters": 9}).train()
    assert set(losses(mine)) == set(range(1, 10))  # each step once, or equal


def test_checkpoints_within_a_sum_of_gradients_are_warned_of(config, tmp_path):
    for name, steps in (("cut", 2), ("whole", 3)):  # the config saves every third iteration
        options = {"train_cfg.max_iters": 3, "optim_wrapper.accumulative_counts": steps}
        build_runner(config, work_dir=tmp_path / name, cfg_options=options).train()
    said = [
        "make the interval a multiple" in next((tmp_path / n).glob("*/*.log")).read_text() for n in ("cut", "whole")
    ]
    assert said == [True, False]


def test_another_seed_is_another_run_and_resuming_takes_the_old_one(config, tmp_path):
    short = {"train_cfg.max_iters": 3}
    build_runner(config, work_dir=tmp_path / "a", seed=7, cfg_options=short).train()
    build_runner(config, work_dir=tmp_path / "b", seed=8, cfg_options=short).train()
    assert losses(tmp_path / "a") != losses(tmp_path / "b")
    build_runner(config, work_dir=tmp_path / "a", resume=True, cfg_options={"train_cfg.max_iters": 5}).train()
    with pytest.raises(ClipkitError, match="was trained with --seed 7, not 9"):
        build_runner(config, work_dir=tmp_path / "a", resume=True, seed=9).train()


def kill_and_compare(processes, config, tmp_path, moments, **environment):
    build_runner(config, work_dir=tmp_path / "whole").train()
    for number, moment in enumerate(moments):
        work_dir = tmp_path / f"killed{number}"
        child = processes.Process(target=train, args=(str(config), str(work_dir), environment))
        child.start()
        moment(work_dir)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        finish(processes, str(config), str(work_dir), resume=True)
        assert losses(work_dir) == losses(tmp_path / "whole")
        same_weights(work_dir, tmp_path / "whole")
        assert not list(work_dir.glob("*.partial"))


def while_writing(nth):
    """Waits until the nth checkpoint is half written."""

    def wait(work_dir):
        seen = set()
        for _ in range(60_000):
            seen |= {file.name for file in work_dir.glob("iter_*.partial")}
            if len(seen) >= nth:
                return
            time.sleep(0.001)
        raise AssertionError("no checkpoint was written")

    return wait


def test_killed_while_writing_a_checkpoint(processes, config, tmp_path):
    kill_and_compare(processes, config, tmp_path, [while_writing(1), while_writing(3)], TINY_SLOW_WRITE="0.15")


@pytest.mark.slow
def test_killed_at_random_moments(processes, config, tmp_path):
    generator = random.Random(0)

    def after_first_log(delay):
        def wait(work_dir):
            while not list(work_dir.glob("*/vis_data/scalars.json")):
                time.sleep(0.001)
            time.sleep(delay)

        return wait

    moments = [after_first_log(generator.uniform(0, 1.5)) for _ in range(10)]
    moments += [while_writing(n) for n in (1, 2, 4, 5, 6)]
    kill_and_compare(processes, config, tmp_path, moments, TINY_SLOW_WRITE="0.1")


def test_a_cut_file_or_a_lost_pointer_costs_one_checkpoint(config, tmp_path):
    build_runner(config, work_dir=tmp_path / "whole").train()
    build_runner(config, work_dir=tmp_path / "cut", cfg_options={"train_cfg.max_iters": 12}).train()
    newest = tmp_path / "cut" / "iter_12.pth"
    newest.write_bytes(newest.read_bytes()[:-2000])
    (tmp_path / "cut" / "last_checkpoint").unlink()
    build_runner(config, work_dir=tmp_path / "cut", resume=True).train()
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_only_the_asked_number_of_checkpoints_stays(config, tmp_path):
    build_runner(config, work_dir=tmp_path).train()
    kept = sorted(file.name for file in tmp_path.glob("*.pth"))
    assert len(kept) == 3 and "iter_24.pth" in kept and sum(name.startswith("best_error") for name in kept) == 1


# -- draws ----------------------------------------------------------------------------------------------------------


def sampler(rank=0, world_size=1, **kwargs):
    made = ResumableInfiniteSampler(range(10), **kwargs)
    made.rank, made.world_size = rank, world_size
    return made


def take(made, count):
    iterator = iter(made)
    return [(int(item), item.draw) for item in (next(iterator) for _ in range(count))]


def test_sampler_covers_each_epoch_and_starts_anywhere():
    draws = take(sampler(seed=3), 40)
    for epoch in range(4):
        assert sorted(index for index, _ in draws[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert [draw for _, draw in draws] == list(range(40))
    assert draws[:10] != take(sampler(seed=4), 10)
    late = sampler(seed=3)
    late.skip(17)
    assert take(late, 23) == draws[17:]


def test_ranks_share_what_one_process_draws():
    whole = take(sampler(seed=3), 30)
    parts = [item for r in range(3) for item in take(sampler(rank=r, world_size=3, seed=3), 10)]
    assert sorted(parts, key=lambda item: item[1]) == whole


class Noise:
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return torch.tensor([float(index), random.random(), np.random.rand(), torch.rand(()).item()])


def test_samples_do_not_depend_on_the_number_of_workers():
    rows = []
    for workers in (0, 2):
        loader = torch.utils.data.DataLoader(
            SeededDataset(Noise(), seed=1), batch_size=4, sampler=sampler(seed=1), num_workers=workers
        )
        iterator = iter(loader)
        rows.append(torch.stack([next(iterator) for _ in range(5)]))
        del iterator
    assert torch.equal(*rows)
    assert len(torch.unique(rows[0].reshape(-1, 4)[:, 1:])) == 60  # all random numbers differ
    assert not torch.equal(SeededDataset(Noise(), seed=2)[Draw(0, 0)], SeededDataset(Noise(), seed=1)[Draw(0, 0)])


# -- two processes --------------------------------------------------------------------------------------------------


def train_ranks(processes, config, work_dir, world_size, **options):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    children = []
    for rank in range(world_size):
        environment = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(world_size),
            "LOCAL_WORLD_SIZE": str(world_size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        child = processes.Process(target=train, args=(str(config), str(work_dir), environment), kwargs=options)
        child.start()
        children.append(child)
    for child in children:
        child.join(120)
        assert child.exitcode == 0


def test_two_processes_equal_one(processes, config, tmp_path):
    """SGD with learning rate 1 for one step: the change of the weights is the gradient."""
    options = {
        "optim_wrapper.optimizer": {"type": "SGD", "lr": 1.0},
        "optim_wrapper.clip_grad": None,
        "param_scheduler": None,
        "custom_hooks": [],
        "model.dropout": 0.0,  # the mask is drawn per process
        "default_hooks.checkpoint": {"type": "CheckpointHook", "interval": 1},
        "train_cfg.max_iters": 3,
        "train_cfg.val_interval": 3,
    }
    finish(processes, str(config), str(tmp_path / "one"), cfg_options={**options, "train_dataloader.batch_size": 8})
    options["train_dataloader.batch_size"] = 4
    train_ranks(processes, config, tmp_path / "two", 2, cfg_options=options)
    for step in (2, 3):  # two are kept
        one = load_checkpoint(tmp_path / "one" / f"iter_{step}.pth")["state_dict"]
        two = load_checkpoint(tmp_path / "two" / f"iter_{step}.pth")["state_dict"]
        for key in one:
            assert torch.allclose(one[key], two[key], atol=1e-6, rtol=1e-6), key
    assert not torch.allclose(one["layer.weight"], torch.full((1, 6), 0.1), atol=1e-3)  # it has moved at all
