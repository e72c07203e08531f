"""Checkpoints: atomic, plain, safe to read, and without the frozen CLIP."""

import io
import os
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from clipkit.engine import checkpoint as ck
from clipkit.engine.frozen import check_frozen, drop_frozen, frozen_records
from clipkit.engine.runner import load_weights
from clipkit.errors import ClipkitError


def test_plain_data_comes_back(tmp_path):
    data = {
        "meta": {"score": np.float64(0.5), "ids": np.arange(3), "path": Path("x"), "names": ("a", "b"), "set": {1}},
        "state_dict": OrderedDict(weight=torch.nn.Parameter(torch.ones(2))),
    }
    ck.save_checkpoint(data, tmp_path / "a.pth")
    loaded = ck.load_checkpoint(tmp_path / "a.pth")
    assert loaded["meta"]["score"] == 0.5 and type(loaded["meta"]["score"]) is float
    assert loaded["meta"]["ids"].tolist() == [0, 1, 2]
    assert loaded["meta"]["path"] == "x" and loaded["meta"]["names"] == ("a", "b") and loaded["meta"]["set"] == [1]
    assert type(loaded["state_dict"]["weight"]) is torch.Tensor


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.pth"
    ck.save_checkpoint({"state_dict": {"n": torch.tensor(1)}}, path)

    def full_disk(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(ClipkitError, match="No space left on device"):
        ck.save_checkpoint({"state_dict": {"n": torch.tensor(2)}}, path)
    assert ck.load_checkpoint(path)["state_dict"]["n"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.pth"]


class _FullDisk(io.FileIO):
    """Takes 2000 bytes."""

    def write(self, data):
        if self.tell() + len(data) > 2000:
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_a_disk_that_fills_while_torch_writes_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(ck, "open", _FullDisk, raising=False)
    with pytest.raises(ClipkitError, match=r"a\.pth: cannot be written \(No space left on device\)"):
        ck.save_checkpoint({"state_dict": {"n": torch.zeros(10**6)}}, tmp_path / "a.pth")
    assert not list(tmp_path.iterdir())


class _Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def test_nothing_of_a_hostile_file_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "meta": _Bomb()}, tmp_path / "bomb.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(_Bomb()))
    for name in ("bomb.pth", "bare.pth"):
        with pytest.raises(ClipkitError, match=name) as caught:
            ck.load_checkpoint(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def test_pretrained_weights_of_a_config_are_read_as_safely(tmp_path, monkeypatch):
    """mmengine's own reader unpickles a file in full when `weights_only` refuses it."""
    from mmengine.model import BaseModule
    from mmengine.runner.checkpoint import _load_checkpoint

    from clipkit.engine.register import register_all

    register_all()
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "meta": _Bomb()}, "bomb.pth")

    class Backbone(BaseModule):
        def __init__(self):
            super().__init__({"type": "Pretrained", "checkpoint": "bomb.pth"})
            self.layer = torch.nn.Linear(1, 1)

    with pytest.raises(ClipkitError, match=r"bomb\.pth: refused: besides tensors it holds an object of .*system"):
        Backbone().init_weights()
    assert not (tmp_path / "exploded").exists()
    history = ck.HistoryBuffer([1.0, 2.0], [1, 1])  # what training in mmengine leaves in its files
    torch.save({"state_dict": {"w": torch.ones(1)}, "message_hub": {"loss": history}}, "good.pth")
    assert _load_checkpoint("good.pth")["message_hub"]["loss"].current() == 2.0


def test_a_folder_stands_for_its_newest_checkpoint(tmp_path):
    assert ck.resolve_checkpoint(tmp_path) == tmp_path  # and reading it says that it is a folder
    for name in ("iter_5.pth", "iter_10.pth"):
        ck.save_checkpoint({"state_dict": {}}, tmp_path / name)
    assert ck.resolve_checkpoint(tmp_path) == tmp_path / "iter_10.pth"
    assert ck.resolve_checkpoint(tmp_path / "iter_7.pth") == tmp_path / "iter_7.pth"


def test_config_text_in_meta_is_only_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ck.save_checkpoint({"meta": {"config": "import os; os.system('touch exploded')"}, "state_dict": {}}, "a.pth")
    ck.load_checkpoint("a.pth")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a"),
        (b"hello", "not a"),
        (b"PK\x03\x04" + b"0" * 99, "not a readable checkpoint: is truncated or damaged"),
    ],
)
def test_files_that_are_no_checkpoints(tmp_path, content, said):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(ClipkitError, match=f"x.pth: {said}"):
        ck.load_checkpoint(tmp_path / "x.pth")


def test_truncated_and_missing(tmp_path):
    ck.save_checkpoint({"state_dict": {"w": torch.zeros(1000)}}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes((tmp_path / "a.pth").read_bytes()[:-700])
    with pytest.raises(ClipkitError, match=r"b\.pth: not a readable checkpoint: is truncated or damaged"):
        ck.load_checkpoint(tmp_path / "b.pth")
    with pytest.raises(ClipkitError, match=r"no such checkpoint file or folder; there is a.pth, b.pth"):
        ck.load_checkpoint(tmp_path / "c.pth")


def test_finding_the_newest_without_trusting_the_pointer(tmp_path):
    for name in ("iter_5.pth", "iter_10.pth", "iter_9.pth", "best_iter_99.pth"):
        (tmp_path / name).touch()
    assert [p.name for p in ck.find_checkpoints(tmp_path)] == ["iter_10.pth", "iter_9.pth", "iter_5.pth"]
    (tmp_path / "last_checkpoint").write_text("/elsewhere/iter_9.pth\n")
    assert ck.find_checkpoints(tmp_path)[0].name == "iter_9.pth"
    (tmp_path / "last_checkpoint").write_text("")
    assert ck.find_checkpoints(tmp_path)[0].name == "iter_10.pth"


def test_finding_checkpoints_in_a_place_of_their_own(tmp_path):
    work, out = tmp_path / "work", tmp_path / "out"
    for file in (work / "last_checkpoint", out / "iter_5.pth", out / "iter_10.pth", out / "step-7.pth"):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    for last in ("iter_5.pth", "step-7.pth"):  # the latter by the hook's `filename_tmpl`
        (work / "last_checkpoint").write_text(str(out / last))
        assert ck.find_checkpoints(work)[0].name == last
    assert {file.name for file in ck.find_checkpoints(work)} == {"iter_5.pth", "iter_10.pth", "step-7.pth"}


class _Clip(torch.nn.Module):
    name, save_with_parent = "stand-in", False

    def __init__(self, weights_hash="a" * 64):
        super().__init__()
        self.weights_hash = weights_hash
        self.tower = torch.nn.Linear(2, 2)


class _Tunable(_Clip):
    pass


class _Host(torch.nn.Module):
    def __init__(self, clip):
        super().__init__()
        self.clip, self.head = clip, torch.nn.Linear(2, 1)


@pytest.fixture
def stand_in_backbone(monkeypatch):
    fake = ModuleType("clipkit.backbone")
    fake.FrozenCLIP, fake.TunableCLIP = _Clip, _Tunable
    monkeypatch.setitem(sys.modules, "clipkit.backbone", fake)


def test_frozen_clip_is_named_not_stored(stand_in_backbone):
    model = _Host(_Clip())
    records = frozen_records(model)
    assert records == [{"path": "clip", "name": "stand-in", "weights_hash": "a" * 64}]
    kept = drop_frozen(model.state_dict(), ["clip"])
    assert set(kept) == {"head.weight", "head.bias"}
    load_weights(model, kept, "a.pth", strict=True)  # the frozen part is not missed
    check_frozen(model, records, "a.pth")


def test_frozen_clip_is_stored_on_request(stand_in_backbone):
    model = _Host(_Clip())
    model.clip.save_with_parent = True
    stored = {key: torch.ones_like(value) for key, value in model.state_dict().items()}
    load_weights(model, stored, "a.pth", strict=True)
    assert model.clip.tower.weight.eq(1).all() and len(frozen_records(model)) == 1


def test_other_clip_weights_are_refused(stand_in_backbone):
    records = frozen_records(_Host(_Clip()))
    with pytest.raises(ClipkitError, match="trained with frozen CLIP stand-in"):
        check_frozen(_Host(_Clip("b" * 64)), records, "a.pth")
    with pytest.raises(ClipkitError, match="the model has no such part"):
        check_frozen(_Host(torch.nn.Linear(2, 2)), records, "a.pth")


def test_tunable_clip_is_stored(stand_in_backbone):
    assert frozen_records(_Host(_Tunable())) == []


def test_weights_that_do_not_fit_are_named():
    model = torch.nn.Linear(2, 1)
    logger = SimpleNamespace(warning=lambda message: said.append(message))
    said = []
    with pytest.raises(ClipkitError, match="1 weights of the model are not in it"):
        load_weights(model, {"weight": torch.zeros(1, 2)}, "a.pth", strict=True)
    load_weights(model, {"weight": torch.zeros(1, 2)}, "a.pth", strict=False, logger=logger)
    assert "1 weights of the model are not in it (bias)" in said[0]
    with pytest.raises(ClipkitError, match="size mismatch for weight"):
        load_weights(model, {"weight": torch.zeros(3, 2)}, "a.pth", strict=False)
