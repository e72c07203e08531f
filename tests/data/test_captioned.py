"""Karpathy's splits, in Flickr30k's and in COCO's layout."""

import json

import pytest
from PIL import Image

from clipkit.data.captioned import KarpathyImages
from clipkit.errors import ClipkitError


def write(tmp_path, entries):
    (tmp_path / "x.json").write_text(json.dumps({"images": entries, "dataset": "x"}))
    return tmp_path / "x.json"


def entry(name, split, *texts, **more):
    return {"filename": name, "split": split, "sentences": [{"raw": text, "tokens": []} for text in texts], **more}


def paint(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (value, 0, 0)).save(path)


def test_flickr_s_layout(tmp_path):
    for value, name in enumerate("abc"):
        paint(tmp_path / f"images/{name}.png", value)
    rows = [
        entry("b.png", "test", "two dogs .", "dogs"),
        entry("c.png", "train", "no"),
        entry("a.png", "test", "x", "y", "z"),
    ]
    images = KarpathyImages(write(tmp_path, rows), tmp_path / "images", "test")
    assert len(images) == 2 and images.texts == ["two dogs .", "dogs", "x", "y", "z"]
    assert images.owner.tolist() == [0, 0, 1, 1, 1]
    assert images[0][1] == ["two dogs .", "dogs"] and images.read(0)[0, 0, 0] == 1
    assert KarpathyImages(tmp_path / "x.json", tmp_path / "images", "test", captions=1).texts == ["two dogs .", "x"]


def test_coco_s_layout(tmp_path):
    paint(tmp_path / "val2014/a.png", 1)
    paint(tmp_path / "train2014/a.png", 2)
    paint(tmp_path / "c.png", 3)
    rows = [
        entry("a.png", "restval", "one", filepath="val2014"),
        entry("a.png", "train", "two", filepath="train2014"),
        entry("c.png", "val", "three", filepath="val2014"),
    ]
    images = KarpathyImages(write(tmp_path, rows), tmp_path, "train")
    assert [images.read(i)[0, 0, 0] for i in range(2)] == [1, 2]
    assert images.identify(0) != images.identify(1)
    assert KarpathyImages(tmp_path / "x.json", tmp_path, "val").read(0)[0, 0, 0] == 3  # without its filepath


def test_mistakes_are_named(tmp_path):
    path = write(tmp_path, [entry("a.png", "test", "one")])
    with pytest.raises(ClipkitError, match=r"1 of 1 images are missing: a\.png"):
        KarpathyImages(path, tmp_path)
    with pytest.raises(ClipkitError, match='no split "val"; it has test'):
        KarpathyImages(path, tmp_path, "val")
    path.write_text('{"images": [{"filename": "a"}]}')
    with pytest.raises(ClipkitError, match=r'images\[0\] has no "split"'):
        KarpathyImages(path, tmp_path)
    with pytest.raises(FileNotFoundError, match="no such annotation file"):
        KarpathyImages(tmp_path / "y.json", tmp_path)
