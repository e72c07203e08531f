"""`clipkit train` and `clipkit test` as commands: what they write, other labels, torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clipkit import cli
from clipkit.engine.build import build_runner
from clipkit.engine.checkpoint import load_checkpoint
from clipkit.engine.registry import MODELS
from support import tiny_parts

ROOT = Path(__file__).parents[2]
SHORT = ["--cfg-options", "train_cfg.max_iters=4", "train_cfg.val_interval=4"]


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text(tiny_parts.CONFIG)
    return path


def test_train_then_test_with_other_labels(config, tmp_path, capsys):
    work_dir = tmp_path / "w"
    assert cli.run("train", [str(config), "--work-dir", str(work_dir), "--vis", "tensorboard", *SHORT]) == 0
    shown = capsys.readouterr().out
    assert "eta:" in shown and "loss:" in shown  # progress
    assert list(work_dir.rglob("events.out.tfevents*"))
    meta = load_checkpoint(work_dir / "iter_4.pth")["meta"]
    assert meta["iter"] == 4 and "max_iters=4" in meta["cfg"].replace(" ", "")

    arguments = [str(config), str(work_dir / "iter_4.pth"), "--work-dir", str(tmp_path / "t")]
    assert cli.run("test", [*arguments, "--out", str(tmp_path / "plain.json")]) == 0
    assert cli.run("test", [str(config), str(work_dir), "--work-dir", str(tmp_path / "t")]) == 0  # the newest in it
    labels = ["--labels", "cat, dog; puppy, grass", "--out", str(tmp_path / "labels.json")]
    assert cli.run("test", arguments + labels) == 0
    plain, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("plain", "labels"))
    assert plain["labels"] is None and plain["scores"]["labels"] == 0
    assert other["labels"] == ["cat", "dog", "grass"] and other["scores"]["labels"] == 3
    assert plain["scores"]["error"] == other["scores"]["error"]


def test_a_label_file_that_is_missing_is_named(config, tmp_path, capsys):
    assert cli.run("test", [str(config), "x.pth", "--labels-file", str(tmp_path / "no.txt")]) == 2
    assert "no.txt" in capsys.readouterr().err


def test_wandb_that_is_not_installed_is_named(config, monkeypatch, capsys):
    import clipkit.engine.build as build

    monkeypatch.setattr(build, "find_spec", lambda name: None)
    assert cli.run("train", [str(config), "--vis", "wandb"]) == 2
    assert "pip install wandb" in capsys.readouterr().err


def test_a_checkpoint_of_another_model_is_refused(config, tmp_path, capsys):
    torch.save({"state_dict": {"other": torch.zeros(1)}}, tmp_path / "x.pth")
    assert cli.run("test", [str(config), str(tmp_path / "x.pth"), "--work-dir", str(tmp_path / "w")]) == 2
    assert "2 weights of the model are not in it (layer.weight, layer.bias)" in capsys.readouterr().err


def test_logit_scale_is_clamped_after_the_step(config, tmp_path):
    class Bounded(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.value = torch.nn.Parameter(torch.tensor(5.0))

        def clamp_(self):
            with torch.no_grad():
                self.value.clamp_(max=4.0)

    @MODELS.register_module(name="BoundedLinear", force=True)
    class BoundedLinear(tiny_parts.TinyLinear):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.bounded = Bounded()

    runner = build_runner(
        config,
        work_dir=tmp_path / "w",
        cfg_options={"model.type": "BoundedLinear", "train_cfg.max_iters": 1, "custom_hooks": []},
    )
    runner.train()
    assert runner.model.bounded.value.item() == 4.0


@pytest.mark.slow
def test_torchrun_on_the_cpu(config, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone",
         str(ROOT / "tools" / "train.py"),
         str(config), "--work-dir", str(tmp_path / "w"), *SHORT],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert load_checkpoint(tmp_path / "w" / "iter_4.pth")["meta"]["iter"] == 4


@pytest.mark.slow
def test_workers_may_be_spawned(tmp_path):
    """As on macOS and Windows. In a process of its own: how workers start is set once for all of one."""
    options = ["train_cfg.max_iters=2", "train_cfg.val_interval=9", "train_dataloader.num_workers=1"]
    command = [sys.executable, "-m", "clipkit", "train", "lseg/lseg_tiny_shapes.py", "--work-dir", str(tmp_path)]
    options += ["train_dataloader.persistent_workers=True", "env_cfg.mp_cfg.mp_start_method=spawn"]
    done = subprocess.run([*command, "--cfg-options", *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "iter_2.pth").is_file()
