"""`clipkit train` that is killed, of one process and of two, goes on with `--resume` and ends like one that was not."""

import random
import signal
import sys
import time

import pytest

from support import tiny_parts
from support.train_command import ANY_STEP, STEPS, codes, outcome, same, start_ranks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
KILLED = -signal.SIGKILL


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.py"
    # So calm that each validation is the best one up to then.
    calm = tiny_parts.CONFIG.replace("length=8)", "length=8, noise=0.0)").replace("lr=0.05", "lr=0.02")
    path.write_text(calm.replace("24", "60"))
    return path


def train(config, work_dir, world, **of_rank_0):
    return start_ranks([config, "--work-dir", work_dir, "--resume"], work_dir.with_suffix(".err"), world, **of_rank_0)


def whole(config, work_dir, world):
    assert codes(train(config, work_dir, world)) == [0] * world
    return outcome(work_dir, "iter_60.pth")


def check_survivors(work_dir, found):
    """Whoever is not killed ends by itself, with one line."""
    for rank, code in enumerate(found):
        if code != KILLED:
            said = work_dir.with_suffix(f".err.{rank}" if rank else ".err").read_text().splitlines()
            errors = [line for line in said if line.startswith("error: ")]
            assert code == 2 and len(errors) == 1 and "another process of this run stopped" in errors[0], (code, said)


@pytest.mark.parametrize(
    ("world", "steps"),
    [(1, STEPS), (2, list(STEPS)[-3:]), pytest.param(2, STEPS, marks=pytest.mark.slow)],
    ids=["1 process", "2 processes", "2 processes, every step"],
)
def test_killed_at_each_step_of_saving(config, tmp_path, world, steps):
    expected = whole(config, tmp_path / "whole", world)
    work_dir = tmp_path / "killed"
    for step in steps:
        found = codes(train(config, work_dir, world, at=STEPS[step]))
        assert found[0] == KILLED, step
        check_survivors(work_dir, found)
        for file in tmp_path.glob("killed.err*"):
            file.unlink()
    assert codes(train(config, work_dir, world)) == [0] * world
    assert same(outcome(work_dir, "iter_60.pth"), expected)


@pytest.mark.slow
def test_killed_at_random_moments(config, tmp_path, kills=25):
    """Half of them at a random operation on files, half from outside at a random time, where of two processes one or
    both are killed."""
    rng = random.Random(18)
    expected = {world: whole(config, tmp_path / f"whole{world}", world) for world in (1, 2)}
    hits = {1: 0, 2: 0}
    for number in range(4 * kills):
        world = number % 2 + 1
        work_dir = tmp_path / f"killed{number}"
        if number // 2 % 2:
            found = codes(train(config, work_dir, world, at=(ANY_STEP, rng.randrange(1, 300))))
        else:
            children = train(config, work_dir, world)
            wait_for_steps(work_dir, rng.randrange(60))
            time.sleep(rng.uniform(0, 0.02))
            for child in rng.sample(children, rng.randint(1, world)):
                child.kill()
            found = codes(children)
        hit = KILLED in found and not (work_dir / "iter_60.pth").exists()
        hits[world] += hit
        if hit:
            check_survivors(work_dir, found)
        assert codes(train(config, work_dir, world)) == [0] * world
        assert same(outcome(work_dir, "iter_60.pth"), expected[world])
        if sum(hits.values()) == kills:
            break
    print(f"kills that hit: {hits}")
    assert sum(hits.values()) == kills and min(hits.values()) >= kills // 3


def wait_for_steps(work_dir, count):
    """Waits until a training has logged that many steps."""
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        logs = list(work_dir.glob("*/vis_data/scalars.json"))
        if logs and logs[0].read_text().count("\n") >= count:
            return
        time.sleep(0.0005)
    raise AssertionError("the training does not begin")
