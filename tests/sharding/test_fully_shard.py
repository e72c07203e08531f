"""Sharded over two gloo processes a training is what it is in one: weights, files, and half of the memory."""

import json
import multiprocessing

import pytest
import torch

from clipkit.engine.build import build_runner
from clipkit.engine.checkpoint import load_checkpoint
from support.backbone_models import write_config
from support.sharded_ranks import CLIP, TRAININGS, held_bytes, in_two_processes, shard, train

pytestmark = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="copies this process")


def difference(file, other):
    """Largest of the weights and of the optimiser's state, of files with the same names, shapes and kinds."""
    first, second = load_checkpoint(file), load_checkpoint(other)
    assert list(first["state_dict"]) == list(second["state_dict"])
    assert first["meta"]["frozen"] == second["meta"]["frozen"]
    states, others = (part["optimizer"]["state"] for part in (first, second))
    assert states and list(states) == list(others)
    pairs = list(zip(first["state_dict"].values(), second["state_dict"].values()))
    for number, state in states.items():
        assert list(state) == list(others[number])
        pairs += zip(state.values(), others[number].values())
    assert all(type(a) is type(b) is torch.Tensor and a.shape == b.shape for a, b in pairs)
    return max(float((a - b).abs().max()) for a, b in pairs)


@pytest.mark.parametrize("kind", ["clip", pytest.param("lseg", marks=pytest.mark.slow)])
def test_two_processes_equal_one(kind, tmp_path):
    write_config(tmp_path, CLIP, "vit")
    whole = train(kind, tmp_path / "one", batch=2)
    assert in_two_processes(shard, kind, tmp_path, 1, tmp_path / "one" / "iter_2.pth") == [0, 0]
    train(kind, tmp_path / "one_resumed", batch=2, resume=str(tmp_path / "two" / "iter_2.pth"))

    one = tmp_path / "one" / "iter_4.pth"
    assert difference(one, tmp_path / "one" / "iter_2.pth") > 1e-3  # it has learned something
    for other in ("two", "two_resumed", "one_resumed"):
        assert difference(one, tmp_path / other / "iter_4.pth") <= 1e-5, other
    logs = [path.read_text() for path in (tmp_path / "two").rglob("*.log")]
    assert any("parameters on rank 1: " in log for log in logs)

    config, options = TRAININGS[kind]
    build_runner(config, work_dir=tmp_path / "t", cfg_options=options, for_training=False,
                 checkpoint=tmp_path / "two" / "iter_4.pth").load_or_resume()  # fmt: skip

    held = [json.loads((tmp_path / f"held_{rank}.json").read_text()) for rank in range(2)]
    for mine, theirs, total in zip(*held, held_bytes(whole)):
        assert total <= mine + theirs <= 1.01 * total and max(mine, theirs) <= 0.55 * total
