"""Lists of images, files of proposals and what is wrong with them; boxes without a trained network."""

import json
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

from clipkit.data.proposals import clean_boxes, list_dataset, read_proposals
from clipkit.data.sliding_boxes import contrast, propose, sliding_boxes
from clipkit.errors import ClipkitError
from clipkit.shapes import render


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "sub/b.jpg", "notes.txt"):
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("x")
        else:
            Image.new("RGB", (8, 6)).save(path)
    return tmp_path / "train"


def test_a_folder_and_annotation_files_as_lists_of_images(folder, tmp_path):
    assert [image.name for image in list_dataset(folder)] == ["a.png", "sub/b.jpg"]
    coco = tmp_path / "coco.json"
    entries = [{"id": 7, "file_name": "sub/b.jpg"}, {"id": 3, "file_name": "a.png"}, {"id": 4, "file_name": "a.png"}]
    coco.write_text(json.dumps({"images": entries, "annotations": []}))
    found = list_dataset(folder, coco)
    assert [(image.name, image.image_id) for image in found] == [("sub/b.jpg", 7), ("a.png", 3)]
    assert found[0].path == folder / "sub" / "b.jpg"
    coco.write_text(json.dumps({"images": [{"id": 1, "coco_url": "http://x.org/train2017/01.jpg"}]}))
    assert list_dataset(folder, coco)[0].name == "train2017/01.jpg"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "not readable as JSON"),
        ("[]", r'no list "images"'),
        ('{"images": [{"id": 1}]}', r"images\[0\] has neither file_name nor coco_url"),
        ('{"images": ["a.png"]}', r"images\[0\] has neither"),
    ],
)
def test_bad_annotation_files_are_named(folder, tmp_path, text, line):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ClipkitError, match=line) as caught:
        list_dataset(folder, path)
    assert "bad.json" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        list_dataset(tmp_path / "absent")


BOXES = {"a.png": [[1.0, 2, 3, 4], [0, 0, 8, 6]], "train/sub/b.jpg": [[2.0, 2, 5, 5]]}


def write(path, kind):
    if kind == "mapping":
        content = {name: {"boxes": b, "scores": [0.9, 0.5][: len(b)]} for name, b in BOXES.items()}
    elif kind == "results":
        ids = {"a.png": 3, "train/sub/b.jpg": 7}
        content = [
            {"image_id": ids[name], "bbox": [b[0], b[1], b[2] - b[0], b[3] - b[1]], "score": score}
            for name, rows in BOXES.items()
            for b, score in zip(rows, (0.9, 0.5))
        ]
    else:
        arrays = {"boxes": np.concatenate(list(BOXES.values())), "scores": np.array([0.9, 0.5, 0.9])}
        np.savez(path, names=list(BOXES), counts=[2, 1], **arrays)
        return
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("kind", ["mapping", "results", "npz"])
def test_every_format_gives_the_same_boxes(folder, tmp_path, kind):
    annotations = tmp_path / "coco.json"
    annotations.write_text(
        json.dumps({"images": [{"id": 3, "file_name": "a.png"}, {"id": 7, "file_name": "sub/b.jpg"}]})
    )
    path = tmp_path / ("p.npz" if kind == "npz" else "p.json")
    write(path, kind)
    proposals = read_proposals(path)
    first, second = list_dataset(folder, annotations)
    boxes, scores = proposals.of(first, folder)
    np.testing.assert_array_equal(boxes, BOXES["a.png"])
    np.testing.assert_allclose(scores, [0.9, 0.5])
    np.testing.assert_array_equal(proposals.of(second, folder)[0], BOXES["train/sub/b.jpg"])
    assert proposals.of(first._replace(name="c.png", image_id=9), folder) is None


def test_without_scores_the_order_counts(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"a": {"boxes": BOXES["a.png"]}, "b": {"boxes": []}}))
    found = read_proposals(path).by_key
    assert found["a"][1].tolist() == [1.0, 0.5] and found["b"][0].shape == (0, 4)


def test_a_pickle_is_not_opened_and_the_way_to_convert_it_works(tmp_path):
    path = tmp_path / "p.pkl"

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ClipkitError, match="pickle runs whatever its author wrote") as caught:
        read_proposals(path)
    assert not (tmp_path / "sprung").exists() and "\n" not in str(caught.value)
    # The line's own program, on what DumpProposals writes: names with objects that have bboxes and scores.
    made = {n: SimpleNamespace(bboxes=np.array(b), scores=np.ones(len(b))) for n, b in BOXES.items()}
    path.write_bytes(pickle.dumps(made))
    command = str(caught.value).split("python -c ")[1].replace("IN.pkl", str(path))
    command = command.replace("OUT.npz", str(tmp_path / "out.npz"))
    subprocess.run(f"{sys.executable} -c {command}", shell=True, check=True)
    np.testing.assert_array_equal(read_proposals(tmp_path / "out.npz").by_key["a.png"][0], BOXES["a.png"])


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"a": {"boxes": [[1, 2, 3]]}}, '"a" is not'),
        ({"a": {"boxes": [[1, 2, 3, 4]], "scores": []}}, '"a" is not'),
        ({"a": 3}, '"a" is not'),
        ([{"image_id": 1, "bbox": [1, 2, 3, 4]}], "entry 0 is not"),
        ([{"image_id": 1, "bbox": [1, 2], "score": 1}], "entry 0 is not"),
        ("text", "not a file of proposals"),
    ],
)
def test_bad_entries_are_named(tmp_path, content, line):
    path = tmp_path / "p.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ClipkitError, match=line):
        read_proposals(path)


def test_bad_npz_files_are_named(tmp_path):
    path = tmp_path / "p.npz"
    path.write_bytes(b"PK not an archive")
    with pytest.raises(ClipkitError, match=r"not a readable \.npz"):
        read_proposals(path)
    np.savez(path, names=["a"], boxes=np.zeros((1, 4)))
    with pytest.raises(ClipkitError, match="has no array counts"):
        read_proposals(path)
    np.savez(path, names=["a"], counts=[2], boxes=np.zeros((1, 4)))
    with pytest.raises(ClipkitError, match="do not fit each other"):
        read_proposals(path)
    np.savez(path, names=np.array([{"a": 1}], dtype=object), counts=[1], boxes=np.zeros((1, 4)))
    with pytest.raises(ClipkitError, match=r"not a readable \.npz"):
        read_proposals(path)


def test_boxes_are_clipped_sorted_and_the_useless_ones_counted():
    boxes = [[-5, -5, 4, 4], [2, 2, 2, 6], [50, 50, 60, 60], [1, 1, 9, 99], [0, 0, np.nan, 3], [3, 3, 6, 5]]
    found, scores, dropped = clean_boxes(np.array(boxes), np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), (10, 20), 100)
    assert found.tolist() == [[3, 3, 6, 5], [1, 1, 9, 10], [0, 0, 4, 4]]
    assert scores.tolist() == [0.6, 0.4, 0.1] and dropped == 3
    assert len(clean_boxes(np.array(boxes), np.arange(6.0), (10, 20), 1)[0]) == 1


def test_contrast_equals_plain_sums_over_pixels():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    boxes = np.array([[8.0, 10, 20, 30], [0, 0, 50, 40], [44, 2, 48, 10]])
    for box, score in zip(boxes.astype(int), contrast(image, boxes)):
        x1, y1, x2, y2 = box
        w, h = x2 - x1, y2 - y1
        inside = np.zeros((40, 50), bool)
        inside[y1:y2, x1:x2] = True
        ring = np.zeros((40, 50), bool)
        ring[max(y1 - h // 4, 0) : y2 + h // 4, max(x1 - w // 4, 0) : x2 + w // 4] = True
        ring &= ~inside
        if not ring.any():
            assert score == 0
            continue
        values = image / 255
        gap = ((values[inside].mean(0) - values[ring].mean(0)) ** 2).sum()
        s = gap / (values[ring].var(0).sum() + 0.02) * np.sqrt(inside.mean())
        assert score == pytest.approx(s / (1 + s), rel=1e-9)


def test_sliding_boxes_lie_inside_and_leave_no_object_out():
    boxes = sliding_boxes(100, 160)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= [160, 100]).all() and len(boxes) < 20000
    g = torch.Generator().manual_seed(0)
    size = torch.rand(200, 2, generator=g) * torch.tensor([60.0, 60]) + 15
    corner = torch.rand(200, 2, generator=g) * (torch.tensor([160.0, 100]) - size)
    objects = torch.cat([corner, corner + size], 1)
    best = box_iou(objects, torch.from_numpy(boxes).float()).amax(1)
    assert best.median() > 0.65 and best.quantile(0.01) > 0.5
    assert len(sliding_boxes(5, 3)) >= 1


def test_proposals_find_the_shapes_of_the_embedded_world():
    scenes = render(10, size=128, seed=3, objects=(1, 4))
    found = total = 0
    for image, boxes, present in zip(scenes.images, scenes.boxes, scenes.present):
        pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
        proposed, scores = propose(pixels, 32)
        assert len(proposed) <= 32 and (np.diff(scores) <= 0).all() and ((scores >= 0) & (scores < 1)).all()
        iou = box_iou(boxes[present], torch.from_numpy(proposed).float())
        found, total = found + int((iou.amax(1) >= 0.5).sum()), total + len(iou)
    assert found / total > 0.7  # boxes drawn at random: 0.1
