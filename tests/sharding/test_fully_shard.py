"""Sharded over two gloo processes a training is what it is in one: weights, files, and half of the memory."""

import json
import multiprocessing

import pytest
import torch

from clipkit.engine.build import build_runner
from clipkit.engine.checkpoint import load_checkpoint
from clipkit.errors import ClipkitError
from support.backbone_models import write_config
from support.sharded_ranks import CLIP, TRAININGS, held_bytes, in_two_processes, train

pytestmark = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="copies this process")


@pytest.fixture(autouse=True)
def small_clip(tmp_path):
    write_config(tmp_path, CLIP, "vit")


def pairs(file, other):
    """The same weight and the same state of the optimiser in two files, which hold the same names in the same order."""
    first, second = load_checkpoint(file), load_checkpoint(other)
    assert list(first["state_dict"]) == list(second["state_dict"])
    assert first["meta"]["frozen"] == second["meta"]["frozen"]
    found = list(zip(first["state_dict"].values(), second["state_dict"].values()))
    states, others = (part["optimizer"]["state"] for part in (first, second))
    assert states and list(states) == list(others)
    for number, state in states.items():
        assert list(state) == list(others[number])
        found += zip(state.values(), others[number].values())
    assert all(type(a) is type(b) is torch.Tensor and a.shape == b.shape for a, b in found)
    return found


def difference(file, other):
    return max(float((a - b).abs().max()) for a, b in pairs(file, other))


@pytest.mark.parametrize("kind", ["clip", pytest.param("lseg", marks=pytest.mark.slow)])
def test_two_processes_equal_one(kind, tmp_path):
    whole = train(kind, tmp_path / "one")

    def work(rank):
        runner = train(kind, tmp_path / "two", sharded=True)
        (tmp_path / f"held_{rank}.json").write_text(json.dumps(held_bytes(runner)))
        train(kind, tmp_path / "two_resumed", sharded=True, resume=str(tmp_path / "one" / "iter_2.pth"))

    assert in_two_processes(work) == [0, 0]
    train(kind, tmp_path / "one_resumed", resume=str(tmp_path / "two" / "iter_2.pth"))

    one = tmp_path / "one" / "iter_4.pth"
    first, last = (load_checkpoint(tmp_path / "one" / f"iter_{step}.pth")["state_dict"] for step in (2, 4))
    assert max(float((last[name] - first[name]).abs().max()) for name in last) > 1e-3  # it has learned something
    for other in ("two", "two_resumed", "one_resumed"):
        assert difference(one, tmp_path / other / "iter_4.pth") <= 1e-5, other
    config, changes = TRAININGS[kind]
    few = {"test_cfg.count": 8} if kind == "clip" else {"test_dataloader.dataset.length": 4}
    tested = build_runner(config, work_dir=tmp_path / "t", cfg_options={**changes, **few}, for_training=False,
                          checkpoint=tmp_path / "two" / "iter_4.pth")  # fmt: skip
    assert tested.test()

    held = [json.loads((tmp_path / f"held_{rank}.json").read_text()) for rank in range(2)]
    for mine, theirs, total in zip(*held, held_bytes(whole)):
        assert total <= mine + theirs <= 1.01 * total and max(mine, theirs) <= 0.55 * total
    logs = [path.read_text() for path in (tmp_path / "two").rglob("*.log")]
    assert any(f"parameters on rank 1: {held[1][0] / 1e6:,.1f} of " in log for log in logs)


@pytest.mark.slow
def test_bf16_and_accumulated_gradients(tmp_path):
    changes = {"optim_wrapper.accumulative_counts": 2}
    train("clip", tmp_path / "one", changes=changes, amp="bf16")
    train("clip", tmp_path / "fp32", changes=changes)
    assert in_two_processes(lambda rank: train("clip", tmp_path / "two", True, changes, amp="bf16")) == [0, 0]

    def distance(first, second):
        found = pairs(tmp_path / first / "iter_4.pth", tmp_path / second / "iter_4.pth")
        return max(float((a - b).norm() / a.norm()) for a, b in found if a.ndim > 1)

    assert distance("fp32", "two") > 0 and distance("one", "two") <= 0.1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"custom_hooks": [{"type": "EMAHook"}]}, "a hook copies the model FSDPContrastivePretrainer, as EMAHook does"),
        ({"custom_hooks": [{"type": "ExportOpenClipHook"}]}, "ExportOpenClipHook writes the whole CLIP"),
        ({"optim_wrapper.type": "ScaledOptimWrapper"}, "fp16 and its loss scaling are not served: use --amp bf16"),
    ],
)
def test_what_cannot_be_sharded_is_refused(changes, said, tmp_path):
    def work(rank):
        with pytest.raises(ClipkitError, match=said):
            train("clip", tmp_path / "two", sharded=True, changes=changes)

    assert in_two_processes(work) == [0, 0]


def test_a_single_process_says_that_it_does_not_shard(tmp_path):
    train("clip", tmp_path, changes={"model_wrapper_cfg.type": "clipkit.FullyShard", "train_cfg.max_iters": 1})
    log = next(tmp_path.rglob("*.log")).read_text()
    assert "model_wrapper_cfg does nothing in a single process" in log
