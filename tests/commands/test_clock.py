"""Clocks that go backwards, and files from the future: nothing is decided by which of two times is the later one."""

import json
import os
import time

import numpy as np
import pytest
from PIL import Image

from clipkit import cli
from clipkit.engine.build import build_runner
from clipkit.engine.work_folder import newest_checkpoint
from clipkit.shapes import render
from clipkit.work_dir_lock import lock, unlock
from support import tiny_parts
from support.train_command import outcome, same

YEAR = 365 * 86400


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text(tiny_parts.CONFIG)
    return path


def test_training_while_the_clock_is_set_back(config, tmp_path, monkeypatch):
    build_runner(config, work_dir=tmp_path / "whole").train()
    real, asked = time.time, []

    def backwards():
        asked.append(None)
        return real() - 60 * len(asked)

    monkeypatch.setattr(time, "time", backwards)
    build_runner(config, work_dir=tmp_path / "parts", cfg_options={"train_cfg.max_iters": 7}).train()
    build_runner(config, work_dir=tmp_path / "parts", resume=True).train()
    assert len(asked) > 48 and same(outcome(tmp_path / "parts"), outcome(tmp_path / "whole"))


def test_a_second_that_comes_again_has_a_log_of_its_own(config, tmp_path, monkeypatch):
    monkeypatch.setattr("clipkit.engine.runner._used_timestamps", set())  # as in another process
    monkeypatch.setattr(time, "time", lambda: 1.7e9)
    build_runner(config, work_dir=tmp_path / "w", cfg_options={"train_cfg.max_iters": 3}).train()
    [first] = (tmp_path / "w").glob("*/*.log")
    said = first.read_bytes()
    monkeypatch.setattr("clipkit.engine.runner._used_timestamps", set())
    build_runner(config, work_dir=tmp_path / "w", resume=True, cfg_options={"train_cfg.max_iters": 4}).train()
    assert first.read_bytes() == said and len(list((tmp_path / "w").glob("*/*.log"))) == 2


def test_checkpoints_go_by_their_step_and_locks_by_who_holds_them(config, tmp_path):
    build_runner(config, work_dir=tmp_path, cfg_options={"train_cfg.max_iters": 6}).train()
    for name, age in (("iter_3.pth", -YEAR), ("iter_6.pth", YEAR), ("last_checkpoint", YEAR), ("training.lock", -YEAR)):
        then = time.time() - age
        os.utime(tmp_path / name, (then, then))
    assert newest_checkpoint(tmp_path).name == "iter_6.pth"
    (tmp_path / "last_checkpoint").unlink()
    assert newest_checkpoint(tmp_path).name == "iter_6.pth"
    lock(tmp_path)
    unlock(tmp_path)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, picture in enumerate((render(2, size=64, seed=3).images * 255).byte().movedim(1, -1).numpy()):
        Image.fromarray(picture).save(folder / f"{number}.bmp")  # all of one size
    return folder


@pytest.mark.parametrize("age", [YEAR, -YEAR], ids=["older than what it replaces", "from the future"])
def test_a_changed_photo_is_seen_whatever_its_date(photos, tmp_path, age, capsys):
    pytest.importorskip("supervision")
    index = ["search", "index", str(photos), "--out", str(tmp_path / "index"), "--clip", "tiny_clip"]
    label = ["label", str(photos), "star, grass", "--out", str(tmp_path / "set"), "--clip", "tiny_clip"]
    for command in (index, label):
        assert cli.main([*command, "--device", "cpu"]) == 0
    then = time.time() - age
    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(photos / "1.bmp")
    os.utime(photos / "1.bmp", (then, then))
    capsys.readouterr()
    for command in (index, label):
        assert cli.main([*command, "--device", "cpu"]) == 0
    assert "1 of 2 photos are in" in capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "set" / "label_log.jsonl").read_text().splitlines()[1:]]
    assert [line["photo"].split("|")[0] for line in lines] == [str(photos / f"{n}.bmp") for n in (0, 1, 1)]
