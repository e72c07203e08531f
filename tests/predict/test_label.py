"""`clipkit label`: what it writes is what was found, and a run that was killed ends like one that was not."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("supervision")

from clipkit.cli import main
from clipkit.data.formats import read_labelled
from clipkit.errors import ClipkitError
from clipkit.predict.dense import DenseSegmenter
from clipkit.predict.detections import Detections
from clipkit.predict.label_photos import LOG, label_photos
from clipkit.shapes import render

WORDS = "red star, blue ring, grass"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i, scene in enumerate(render(256, seed=5).images[:5]):
        pixels = (scene.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    (folder / "broken.png").write_text("no picture")
    return folder


def run(photos, out, *more):
    return main(["label", str(photos), WORDS, "--clip", "tiny_clip", "--out", str(out), "--min-score", "0", *more])


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_format_holds_what_was_found(photos, tmp_path, capsys):
    assert run(photos, tmp_path / "out") == 1  # one photo is none
    shown = capsys.readouterr()
    assert "5 of 6 photos labelled" in shown.out and "broken.png" in shown.err
    from pycocotools.coco import COCO

    coco = COCO(str(tmp_path / "out/annotations.json"))
    segmenter = DenseSegmenter.load("tiny_clip", None)
    found = segmenter(photos / "3.png", WORDS).regions()
    number = next(i for i, about in coco.imgs.items() if about["file_name"] == "3.png")
    rows = coco.loadAnns(coco.getAnnIds(number))
    assert len(rows) == len(found) > 0
    for row, mask, label, score in zip(rows, found.masks, found.labels, found.scores):
        assert np.array_equal(coco.annToMask(row).astype(bool), mask.numpy())
        assert coco.cats[row["category_id"]]["name"] == found.names[label]
        assert row["score"] == pytest.approx(float(score)) and row["area"] == mask.sum()
    with Image.open(tmp_path / "out/contact_sheet.png") as sheet:
        assert sheet.width > 4 * 300 and sheet.height > 2 * 300
    for kind in ("yolo", "voc", "masks"):  # the log is enough: no photo is looked at again
        assert run(photos, tmp_path / "out", "--format", kind) == 1
        read = read_labelled(tmp_path / "out", kind, classes=["red star", "blue ring", "grass"])
        assert [i.path.stem for i in read.images] == list("01234") and not read.problems
        assert {o.label for i in read.images for o in i.objects} == {r["category_id"] - 1 for r in coco.anns.values()}


@pytest.mark.parametrize("lines", [1, 2, 4])
def test_a_run_that_was_killed_ends_like_one_that_was_not(photos, tmp_path, lines, capsys):
    run(photos, tmp_path / "whole", "--format", "yolo")
    text = (tmp_path / "whole" / LOG).read_text().splitlines(keepends=True)
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / LOG).write_text("".join(text[:lines]) + text[lines][:40])  # in the middle of a line
    run(photos, tmp_path / "killed", "--format", "yolo")
    assert ("photos are in" in capsys.readouterr().out) == (lines > 1)
    whole, killed = files(tmp_path / "whole"), files(tmp_path / "killed")
    assert len([name for name in whole if name.suffix == ".txt"]) == 6
    logs = [
        sorted(line for line in of.pop(next(n for n in of if n.name == LOG)).splitlines()) for of in (whole, killed)
    ]
    assert whole == killed and set(logs[0]) <= set(logs[1])


def test_a_log_of_another_run_is_refused(photos, tmp_path, capsys):
    run(photos, tmp_path)
    assert run(photos, tmp_path, "--min-area", "0.5") == 2
    assert "other min_area" in capsys.readouterr().err
    assert main(["label", str(photos), "red star", "--clip", "tiny_clip", "--out", str(tmp_path)]) == 2
    assert "other words, names, min_score" in capsys.readouterr().err


def test_films_are_named_and_left_out(photos, tmp_path, capsys):
    scene = Image.open(photos / "0.png")
    scene.save(tmp_path / "a.png")
    scene.save(tmp_path / "moves.gif", save_all=True, append_images=[scene.rotate(90)])
    for name in ("b.mp4", "c.MP4", "d.heic"):
        (tmp_path / name).write_bytes(b"as a telephone leaves it")
    assert run(tmp_path, tmp_path / "out") == 0
    shown = capsys.readouterr()
    assert "1 of 1 photos labelled" in shown.out
    assert [line.partition(": films; make photos of one with `ffmpeg")[0] for line in shown.err.splitlines()] == [
        "not read: 1 .heic: no format of videos or images that is known here",
        "not labelled: 2 .mp4, 1 .gif",
    ]
    assert main(["label", str(tmp_path / "moves.gif"), WORDS, "--clip", "tiny_clip"]) == 2
    assert "moves.gif: no photo to label" in capsys.readouterr().err


def test_words_without_meaning_are_named(photos, tmp_path, capsys):
    arguments = ["label", str(photos / "0.png"), "red star; crimson unicorn, grass", "--clip", "tiny_clip"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert said.count("warning") == 1 and "tiny_clip never saw crimson unicorn:" in said


def test_a_detector_s_boxes_are_labels_too(photos, tmp_path):
    boxes = torch.tensor([[1.0, 2, 31, 42], [0, 0, 1, 1], [5, 5, 60, 60]])

    def found(rgb):
        return Detections(
            boxes, torch.tensor([0.9, 0.8, 0.1]), torch.tensor([1, 0, 0]), None, ("a", "b"), rgb.shape[:2]
        )

    label_photos([str(photos / "0.png")], lambda: found, ("a", "b"), tmp_path, "coco", {}, min_score=0.5)
    content = json.loads((tmp_path / "annotations.json").read_text())
    assert [(a["category_id"], a["bbox"]) for a in content["annotations"]] == [(2, [1, 2, 30, 40])]
    with pytest.raises(ClipkitError, match="no mask"):
        label_photos([str(photos / "0.png")], lambda: found, ("a", "b"), tmp_path, "masks", {}, min_score=0.5)
    with pytest.raises(ClipkitError, match="not one of 1 photos"):
        label_photos([str(photos / "broken.png")], lambda: found, ("a", "b"), tmp_path / "n", "coco", {})


def test_a_photo_whose_line_is_damaged_is_labelled_again(photos, tmp_path):
    run(photos, tmp_path)
    whole, text = (tmp_path / "annotations.json").read_text(), (tmp_path / LOG).read_text().splitlines()
    found = json.loads(text[1])
    first = found["objects"][0]
    for change in (
        {"objects": [{**first, "label": 99}]}, {"objects": [{**first, "bbox": [1, 2, 1e400, 4]}]}, {"objects": 3},
        {"objects": [{**first, "segmentation": {"size": [1, 1], "counts": "1"}}]}, {"size": [0, "x"]}, {"photo": []},
    ):  # fmt: skip
        (tmp_path / LOG).write_text("\n".join([text[0], json.dumps({**found, **change}), "[" * 5000, *text[2:]]) + "\n")
        run(photos, tmp_path)
        assert (tmp_path / "annotations.json").read_text() == whole


def test_a_log_that_is_none_is_one_line(photos, tmp_path, capsys):
    for make in (lambda path: path.write_text("3\n"), os.mkfifo):
        make(tmp_path / LOG)
        assert run(photos, tmp_path) == 2
        assert f"{tmp_path / LOG}: is " in capsys.readouterr().err
        (tmp_path / LOG).unlink()
