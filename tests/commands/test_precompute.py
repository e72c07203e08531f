"""`clipkit precompute` as a command: what it writes, what it refuses, broken images, kills."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipkit import cli
from clipkit.adapters import CLIPTeacher
from clipkit.data import read_image
from clipkit.data.sliding_boxes import propose
from clipkit.embed.region_store import TeacherStore
from clipkit.errors import ClipkitError
from clipkit.shapes import render, tiny_clip

NAMES = ["a.png", "b.png", "sub/c.png", "sub/d.png"]


@pytest.fixture
def folder(tmp_path):
    pictures = (render(4, size=80, seed=2).images * 255).round().byte().movedim(1, -1).numpy()
    for number, (name, picture) in enumerate(zip(NAMES, pictures)):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[: 80 - 4 * number]).save(path)
    return tmp_path / "images"


def run(folder, out, *more, boxes=("--grid",), precision="fp32"):
    return cli.run(
        "precompute",
        [str(folder), "--out", str(out), "--clip", "tiny_clip", "--precision", precision, "--max-boxes", "5"]
        + [str(argument) for argument in (*boxes, *more)],
    )


def write_proposals(path, names=NAMES, seed=0):
    rng = np.random.default_rng(seed)
    content = {}
    for name in names:
        x, y = np.sort(rng.random((7, 2)) * 60, 1), np.sort(rng.random((7, 2)) * 60, 1)
        boxes = np.stack([x[:, 0], y[:, 0], x[:, 1] + 4, y[:, 1] + 4], 1)
        content[name] = {"boxes": boxes.round(2).tolist(), "scores": rng.random(7).round(3).tolist()}
    path.write_text(json.dumps(content))
    return content


def by_hand(folder, name, boxes, **options):
    picture = torch.from_numpy(np.array(read_image(folder / name))).movedim(-1, 0) / 255
    return CLIPTeacher(tiny_clip(), **options).regions([picture], [torch.from_numpy(boxes)])


def test_boxes_of_a_file_with_the_embeddings_that_the_teacher_gives(folder, tmp_path, capsys):
    content = write_proposals(tmp_path / "p.json")
    out = tmp_path / "store"
    assert run(folder, out, boxes=("--proposals", tmp_path / "p.json")) == 0
    assert "4 images, 20 regions" in capsys.readouterr().out
    store = TeacherStore(out, {"weights": tiny_clip().weights_hash, "crops.scales": [1.0, 1.5], "precision": "fp32"})
    assert list(store) == NAMES
    for name in NAMES:
        found = store[folder / name]
        order = np.argsort(-np.array(content[name]["scores"]))[:5]
        limit = np.array(read_image(folder / name).shape[1::-1] * 2)
        expected = np.minimum(np.array(content[name]["boxes"])[order], limit)
        np.testing.assert_allclose(found.boxes, expected, atol=1 / 64)
        np.testing.assert_allclose(found.scores, np.array(content[name]["scores"])[order], atol=1e-3)
        teacher = by_hand(folder, name, found.boxes)
        np.testing.assert_allclose(found.embeddings, teacher.numpy(), atol=1e-3)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert run(folder, out, boxes=("--proposals", tmp_path / "p.json")) == 0
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_options_reach_the_teacher_and_the_disk(folder, tmp_path):
    options = ("--scales", "1", "2", "--order", "normalize-sum", "--resize-mode", "shortest", "--dtype", "int8")
    assert run(folder, tmp_path / "s", *options) == 0
    store = TeacherStore(tmp_path / "s")
    found = store["sub/c.png"]
    own = {"crop_scales": (1.0, 2.0), "order": "normalize-sum", "resize_mode": "shortest"}
    teacher = by_hand(folder, "sub/c.png", found.boxes, **own).numpy()
    assert (teacher * found.embeddings).sum(1).min() > 0.999
    assert (teacher * by_hand(folder, "sub/c.png", found.boxes).numpy()).sum(1).min() < 0.999
    assert store.key["dtype"] == "int8"


def test_contrast_needs_nothing_but_the_images(folder, tmp_path):
    assert run(folder, tmp_path / "s") == 0
    found = TeacherStore(tmp_path / "s")["b.png"]
    boxes, scores = propose(read_image(folder / "b.png"), 5)
    np.testing.assert_allclose(found.boxes, boxes, atol=1 / 64)
    np.testing.assert_allclose(found.scores, scores, atol=1e-3)


def test_half_precision_is_close_and_has_the_same_weights_hash(folder, tmp_path):
    for precision in ("fp32", "bf16"):
        assert run(folder, tmp_path / precision, precision=precision) == 0
    full, half = (TeacherStore(tmp_path / precision) for precision in ("fp32", "bf16"))
    assert full.key["weights"] == half.key["weights"] and half.key["precision"] == "bf16"
    assert (full["a.png"].embeddings * half["a.png"].embeddings).sum(1).min() > 0.99


def test_only_the_annotated_images_and_images_added_later(folder, tmp_path):
    annotations = tmp_path / "coco.json"

    def write(names):
        annotations.write_text(json.dumps({"images": [{"id": n, "file_name": name} for n, name in enumerate(names)]}))

    write(["sub/d.png", "a.png"])
    assert run(folder, tmp_path / "s", "--annotations", annotations) == 0
    assert list(TeacherStore(tmp_path / "s")) == ["sub/d.png", "a.png"]
    before = (tmp_path / "s" / "shard-000000.safetensors").read_bytes()
    write(["sub/d.png", "a.png", "b.png"])
    assert run(folder, tmp_path / "s", "--annotations", annotations) == 0
    assert list(TeacherStore(tmp_path / "s")) == ["sub/d.png", "a.png", "b.png"]
    assert (tmp_path / "s" / "shard-000000.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--scales", "1"), "crops.scales is [1.0, 1.5] in the store and [1.0] here"),
        (("--dtype", "int8"), 'dtype is "fp16" in the store and "int8" here'),
        (("--max-boxes", "6"), "boxes.most is 5 in the store and 6 here"),
        (("--resize-mode", "shortest"), 'preprocessing.resize_mode is "squash" in the store and "shortest" here'),
        (("--precision", "bf16"), 'precision is "fp32" in the store and "bf16" here'),
    ],
)
def test_a_store_made_otherwise_is_refused_and_the_difference_named(folder, tmp_path, capsys, more, line):
    assert run(folder, tmp_path / "s") == 0
    assert run(folder, tmp_path / "s", *more) == 2
    assert line in capsys.readouterr().err


def test_other_boxes_other_weights_and_changed_images_are_refused(folder, tmp_path, capsys):
    write_proposals(tmp_path / "p.json")
    assert run(folder, tmp_path / "s", boxes=("--proposals", tmp_path / "p.json")) == 0
    write_proposals(tmp_path / "p.json", seed=1)
    assert run(folder, tmp_path / "s", boxes=("--proposals", tmp_path / "p.json")) == 2
    assert "boxes.sha256 is" in capsys.readouterr().err
    assert run(folder, tmp_path / "s") == 2
    assert 'boxes.from is "file" in the store and "contrast" here' in capsys.readouterr().err
    torch.manual_seed(0)
    other = ["--clip", f"local-dir:{_other_clip(tmp_path)}"]
    assert run(folder, tmp_path / "s", *other, boxes=("--proposals", tmp_path / "p.json")) == 2
    assert "weights is" in capsys.readouterr().err
    write_proposals(tmp_path / "p.json")
    Image.new("RGB", (80, 80)).save(folder / "b.png")
    assert run(folder, tmp_path / "s", boxes=("--proposals", tmp_path / "p.json")) == 2
    assert "b.png has changed since it was embedded" in capsys.readouterr().err


def _other_clip(tmp_path):
    from clipkit.backbone import TunableCLIP, save_open_clip_folder
    from clipkit.shapes.tiny import FOLDER

    clip = TunableCLIP.from_pretrained(f"local-dir:{FOLDER}")
    with torch.no_grad():
        next(clip.parameters()).add_(0.01)
    return save_open_clip_folder(clip, tmp_path / "other")


def test_broken_and_missing_images_are_named_and_found_again_when_repaired(folder, tmp_path, capsys):
    good = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(good[: len(good) // 2])
    annotations = tmp_path / "coco.json"
    annotations.write_text(
        json.dumps({"images": [{"id": i, "file_name": n} for i, n in enumerate([*NAMES, "gone.png"])]})
    )
    arguments = (folder, tmp_path / "s", "--annotations", annotations)
    for _ in range(2):  # also when they were skipped by an earlier run
        assert run(*arguments) == 1
        shown = capsys.readouterr()
        assert "1 images missing or not to be opened: gone.png" in shown.err
        assert "1 images not readable, left without regions: b.png" in shown.err
        assert "4 images, 15 regions" in shown.out
    store = TeacherStore(tmp_path / "s")
    assert len(store["b.png"].boxes) == 0 and len(store["a.png"].boxes) == 5
    (folder / "b.png").write_bytes(good)
    annotations.write_text(json.dumps({"images": [{"id": i, "file_name": n} for i, n in enumerate(NAMES)]}))
    assert run(*arguments) == 0
    assert len(TeacherStore(tmp_path / "s")["b.png"].boxes) == 5


def test_the_first_broken_image_stops_where_that_is_asked_for(folder, tmp_path, capsys):
    (folder / "b.png").write_bytes(b"no picture")
    assert run(folder, tmp_path / "s", "--on-bad", "raise") == 2
    assert "b.png: not a readable image" in capsys.readouterr().err
    (folder / "b.png").unlink()
    annotations = tmp_path / "coco.json"
    annotations.write_text(json.dumps({"images": [{"id": 1, "file_name": "b.png"}]}))
    assert run(folder, tmp_path / "t", "--on-bad", "raise", "--annotations", annotations) == 2
    assert "b.png: missing or not to be opened (1 such images in all)" in capsys.readouterr().err


def failing(monkeypatch, error):
    """The first reading of b.png fails; afterwards the disk is well again."""
    calls = []

    def read(path):
        calls.append(path)
        if path.name == "b.png" and calls.count(path) == 1:
            raise error
        return read_image(path)

    monkeypatch.setattr("clipkit.embed.regions.read_image", read)


def test_a_disk_that_fails_once_leaves_no_empty_record(folder, tmp_path, capsys, monkeypatch):
    failing(monkeypatch, OSError(5, "Input/output error"))
    assert run(folder, tmp_path / "s") == 2
    assert "b.png: could not be read (Input/output error); run the same command again" in capsys.readouterr().err
    assert run(folder, tmp_path / "s") == 0
    assert len(TeacherStore(tmp_path / "s")["b.png"].boxes) == 5
    monkeypatch.undo()
    failing(monkeypatch, ClipkitError("b.png: not a readable image"))
    assert run(folder, tmp_path / "t") == 1  # although it can be read again at the end
    assert "not readable, left without regions: b.png" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_one_line(folder, tmp_path, capsys):
    for name in ("gpu", *(() if torch.cuda.is_available() else ("cuda",))):
        assert run(folder, tmp_path / "s", "--device", name) == 2
        shown = capsys.readouterr().err
        assert f"error: device {name}: cannot be used here (" in shown and shown.count("\n") == 1


def test_images_without_proposals_and_useless_boxes_are_named(folder, tmp_path, capsys):
    content = write_proposals(tmp_path / "p.json", NAMES[:3])
    content["a.png"] = {"boxes": [[90, 90, 95, 95], [3, 3, 3, 9], [1, 1, 5, 5]]}
    (tmp_path / "p.json").write_text(json.dumps(content))
    assert run(folder, tmp_path / "s", boxes=("--proposals", tmp_path / "p.json")) == 1
    shown = capsys.readouterr().err
    assert "1 images not in the file of proposals: sub/d.png" in shown
    assert "2 boxes lay outside their image or had no area: left out" in shown
    assert TeacherStore(tmp_path / "s")["a.png"].boxes.tolist() == [[1, 1, 5, 5]]
    write_proposals(tmp_path / "q.json", ["x.jpg"])
    assert run(folder, tmp_path / "t", boxes=("--proposals", tmp_path / "q.json")) == 2
    assert "has boxes for none of the 4 images; it names 'x.jpg'" in capsys.readouterr().err


def test_a_shard_begun_with_images_that_are_now_left_out_is_not_filled_with_something_else(folder, tmp_path, capsys):
    annotations = tmp_path / "coco.json"
    annotations.write_text(json.dumps({"images": [{"id": i, "file_name": name} for i, name in enumerate(NAMES)]}))
    arguments = (folder, tmp_path / "s", "--annotations", annotations)
    assert run(*arguments) == 0
    (tmp_path / "s" / "shard-000000.safetensors").unlink()
    annotations.write_text(json.dumps({"images": [{"id": i, "file_name": name} for i, name in enumerate(NAMES[:2])]}))
    assert run(*arguments) == 2
    assert "sub/c.png was begun by an earlier run" in capsys.readouterr().err


def test_progress_shows_images_crops_and_the_time_left(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("clipkit.store.share._BAR_DELAY", 0)
    monkeypatch.setattr("clipkit.embed.regions.BATCH", 1)
    assert run(folder, tmp_path / "s") == 0
    # tqdm's bar: done/all [time spent<time left, images/s, …].
    assert re.search(r"embedding: +100%.* 4/4 \[.*<.*image.*, \d+ crops/s\]", capsys.readouterr().err)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("kills", [3, pytest.param(25, marks=pytest.mark.slow)])
def test_killed_runs_end_byte_identical(tmp_path, kills):
    script = Path(__file__).parents[1] / "support" / "precompute_kills.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(kills), "11"], capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    trials = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(trials) == kills
    for trial in trials:
        assert trial["identical"] and trial["codes"] == [0] * trial["processes"], trial
    # The test means something only if kills came in the middle.
    assert sum(0 < trial["left"] < 12 for trial in trials) >= kills // 3
    assert {trial["processes"] for trial in trials} == {1, 2}
