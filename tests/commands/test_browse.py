"""`clipkit browse` draws boxes and films, renders a few scenes only, and writes and embeds nothing that it need not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("mmdet")

from clipkit.commands.browse import SCENES, draw_items, lighten, main
from clipkit.errors import ClipkitError


def test_a_big_set_is_a_few_scenes_and_no_teacher(tmp_path):
    pack = {"type": "mmdet.PackDetInputs"}
    inner = {"type": "ShapesDetDataset", "length": 4096, "teacher": {"folder": "x"}, "pipeline": []}
    inner["pipeline"] = [{"type": "TeacherRegions", "store": "x", "transforms": [pack]}, pack]
    quick, said = lighten({"type": "SeededDataset", "dataset": inner}, tmp_path, 6)
    assert quick["dataset"] == {"type": "ShapesDetDataset", "length": SCENES, "pipeline": [pack, pack]}
    assert said == f" (the first {SCENES} of 4096)" and inner["length"] == 4096
    few = {"type": "ShapesSegDataset", "length": 8}
    assert lighten(few, tmp_path, 6) == (few, "")


def test_boxes_are_drawn_where_they_are(tmp_path, capsys):
    assert main(["vild/vild_tiny_shapes.py", "--count", "2", "--out", str(tmp_path)]) == 0
    assert f"2 of {SCENES} train items (the first {SCENES} of 4096)" in capsys.readouterr().out
    with Image.open(tmp_path / "vild_tiny_shapes_train.png") as picture:
        assert picture.width > 2 * 128
    assert main(["vild/vild_tiny_shapes.py", "--split", "val", "--count", "2", "--out", str(tmp_path)]) == 0


def test_films_are_drawn_without_their_set(tmp_path, monkeypatch, capsys):
    pytest.importorskip("av")
    monkeypatch.chdir(tmp_path)
    assert main(["clip4clip/clip4clip_tiny_films.py", "--count", "1", "--out", "out"]) == 0
    assert "not written yet" in capsys.readouterr().out
    assert [path.name for path in Path(".").iterdir()] == ["out"]
    with Image.open("out/clip4clip_tiny_films_train.png") as picture:
        assert picture.width > 600


def test_a_film_s_frames_stand_in_a_row():
    frames = torch.zeros(3, 3, 112, 112, dtype=torch.uint8)
    frames[1, 0] = 255
    drawn = draw_items([{"frames": frames, "texts": ["a", "b"]}], [])
    red = (drawn == (255, 0, 0)).all(-1)
    assert red.sum() == 112 * 112 and np.flatnonzero(red.any(0)).tolist() == list(range(6 + 112, 6 + 224))


def test_other_items_are_one_line():
    for items in ([], [{"label": 1}], [3], [{"frames": torch.zeros(2, 8), "texts": []}]):
        with pytest.raises(ClipkitError, match="browse draws masks, boxes and films"):
            draw_items(items, [])
