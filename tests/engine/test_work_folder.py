"""A work folder is a model: what is recorded, and that reading it runs nothing."""

from pathlib import Path

import pytest

pytest.importorskip("mmengine")

from mmengine.config import Config

from clipkit.engine.work_folder import find_record, newest_checkpoint, read_record, record_config
from clipkit.errors import ClipkitError


def test_values_come_back_as_they_were_and_files_beside_them(tmp_path):
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/labels.txt").write_text("tree\n")
    (tmp_path / "rows.npy").write_bytes(b"rows")
    (tmp_path / "rows.json").write_text("[]")
    paths = {
        "classes": str(tmp_path / "labels.txt"),
        "base_classes": str(tmp_path / "other/labels.txt"),
        "text": {"path": str(tmp_path / "rows.npy"), "clip": "tiny_clip"},
    }
    cfg = Config({"model": paths, "size": (3, 4), "rate": -1e-3, "on": [True, None, {"a b": ("x", {})}], "s": "it's"})
    work = tmp_path / "work"
    record_config(cfg, cfg.pretty_text, work)
    work.rename(tmp_path / "moved")
    for path in ("labels.txt", "other/labels.txt", "rows.npy", "rows.json"):
        (tmp_path / path).unlink()
    read = read_record(find_record(tmp_path / "moved"))
    assert {key: read[key] for key in ("size", "rate", "on", "s")} == {
        "size": (3, 4), "rate": -1e-3, "on": [True, None, {"a b": ("x", {})}], "s": "it's"
    }  # fmt: skip
    model = read.model
    assert [Path(model[key]).read_text() for key in ("classes", "base_classes")] == ["cat\ndog\n", "tree\n"]
    assert Path(model.text.path).read_text() == "rows" and model.text.clip == "tiny_clip"
    assert Path(model.text.path.replace(".npy", ".json")).read_text() == "[]"
    record_config(read, read.pretty_text, tmp_path / "moved")  # training goes on from the record itself
    assert Path(read_record(find_record(tmp_path / "moved")).model.classes).read_text() == "cat\ndog\n"


@pytest.mark.parametrize("line", ["a = __import__('os').getcwd()", "import os", "a = dict(**{'b': 1})", "a = [1] * 9"])
def test_code_is_refused_and_not_run(tmp_path, line):
    (tmp_path / "x.py").write_text(f"b = 1\n{line}\n")
    with pytest.raises(ClipkitError, match="more than names and values"):
        read_record(find_record(tmp_path))


def test_folders_without_a_config_or_a_checkpoint_are_one_line(tmp_path):
    with pytest.raises(ClipkitError, match="holds no config"):
        find_record(tmp_path)
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("x = 1")
    with pytest.raises(ClipkitError, match=r"several configs \(a\.py, b\.py\)"):
        find_record(tmp_path)
    with pytest.raises(ClipkitError, match="no checkpoint"):
        newest_checkpoint(tmp_path)
