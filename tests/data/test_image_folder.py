"""Labelled images: folders, ImageNet's and CIFAR's layouts, cut-out boxes, and what is wrong with them in one line."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from clipkit.data.annotations import LabelledBox, LabelledImage, LabelledSet
from clipkit.data.image_folder import BoxImages, ImageArray, ImageFolder, TorchvisionImages, class_words
from clipkit.data.pairs import Problems
from clipkit.errors import ClipkitError
from clipkit.text import imagenet_names


def paint(path, colour, size=(9, 7)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    paint(tmp_path / "set/traffic_light/b.png", (0, 255, 0))
    paint(tmp_path / "set/traffic_light/deep/a.png", (255, 0, 0))
    paint(tmp_path / "set/cat/x.jpg", (9, 9, 9))
    (tmp_path / "set/cat/notes.txt").write_text("no image")
    (tmp_path / "set/.cache").mkdir()
    return tmp_path / "set"


def test_a_folder_a_class(folder):
    images = ImageFolder(folder)
    assert images.names == ("cat", "traffic light")
    assert images.labels.tolist() == [0, 1, 1] and len(images) == 3
    assert images.read(1).tolist() == np.full((7, 9, 3), (0, 255, 0)).tolist()
    assert [images.identify(i).split("@")[0] for i in range(3)] == [
        "cat/x.jpg", "traffic_light/b.png", "traffic_light/deep/a.png",
    ]  # fmt: skip
    part = images.take([2, 0])
    assert part.labels.tolist() == [1, 0] and part.identify(0) == images.identify(2)
    assert (part.read(0) == images.read(2)).all() and part[1][1] == 0


def test_an_id_follows_the_content(folder):
    before = ImageFolder(folder).identify(1)
    paint(folder / "traffic_light/b.png", (0, 254, 0))
    assert ImageFolder(folder).identify(1) != before
    same = np.zeros((2, 4, 4, 3), np.uint8)
    array = ImageArray(same, [0, 0], ["a"])
    assert array.identify(0) != array.identify(1)
    assert array.identify(0) != ImageArray(same + 1, [0, 0], ["a"]).identify(0)


def test_names_may_come_from_elsewhere(folder, tmp_path):
    (tmp_path / "names.txt").write_text("kitten\nstop light; lamp\n")
    (tmp_path / "words.json").write_text(json.dumps({"traffic_light": "lamp", "cat": "tiger", "dog": "wolf"}))
    assert ImageFolder(folder, tmp_path / "names.txt").names == ("kitten", "stop light")
    assert ImageFolder(folder, tmp_path / "words.json").names == ("tiger", "lamp")
    with pytest.raises(ClipkitError, match="3 names for 2 classes"):
        ImageFolder(folder, ["a", "b", "c"])
    with pytest.raises(ClipkitError, match='no word for class "traffic_light"'):
        ImageFolder(folder, {"cat": "cat"})
    (tmp_path / "words.json").write_text("[1, 2]")
    with pytest.raises(ClipkitError, match="JSON list of class names"):
        ImageFolder(folder, tmp_path / "words.json")


def test_imagenet_s_layout(tmp_path):
    assert len(imagenet_names()) == 1000 and imagenet_names()[0] == "tench"
    for number in range(1000):  # folders of synsets, in the order of the ids; nothing opens the images here
        (tmp_path / f"val/n{number:08d}").mkdir(parents=True)
        (tmp_path / f"val/n{number:08d}/x.JPEG").touch()
    images = ImageFolder(tmp_path / "val")
    assert images.names == imagenet_names() and images.labels[-1] == 999
    with pytest.raises(ClipkitError, match="WordNet ids"):
        class_words(None, ["n00000001", "n00000002"], "x")
    for number in range(1000):  # ImageNet-V2's
        (tmp_path / f"v2/{number}").mkdir(parents=True)
        (tmp_path / f"v2/{number}/x.jpeg").touch()
    images = ImageFolder(tmp_path / "v2", "imagenet")
    assert [path.parent.name for path in images.paths[:3]] == ["0", "1", "2"] and images.names == imagenet_names()
    with pytest.raises(ClipkitError, match="neither WordNet ids nor the numbers 0 to 999"):
        class_words("imagenet", [f"class {i}" for i in range(1000)], "x")


def test_cifar_s_layout(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    (folder / "test_batch").write_bytes(pickle.dumps({"data": rows, "labels": [3, 0, 9, 3]}))
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    with pytest.raises(ClipkitError, match="torchvision cannot read CIFAR10"):
        TorchvisionImages("CIFAR10", tmp_path, train=False)  # its checksums keep other files out
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    images = TorchvisionImages("CIFAR10", tmp_path, train=False)
    assert images.names == tuple(names) and images.labels.tolist() == [3, 0, 9, 3]
    assert (images.read(2) == rows[2].reshape(3, 32, 32).transpose(1, 2, 0)).all()


def test_of_several_words_for_a_class_the_first_is_its_name(tmp_path, monkeypatch):
    class Imagenette:
        classes, targets = [("tench", "Tinca tinca"), ("English springer",)], [0, 1]

        def __init__(self, root):
            pass

    monkeypatch.setattr("torchvision.datasets.Imagenette", Imagenette)
    assert TorchvisionImages("Imagenette", tmp_path).names == ("tench", "English springer")


def test_a_set_of_torchvision_without_names_needs_some(tmp_path):
    for number in range(2):
        paint(tmp_path / f"gtsrb/GTSRB/Training/{number:05d}/x.ppm", (number, 5, 7))
    with pytest.raises(ClipkitError, match="has no class names"):
        TorchvisionImages("GTSRB", tmp_path)
    images = TorchvisionImages("GTSRB", tmp_path, ["speed limit 20", "speed limit 30"])
    assert images.names[1] == "speed limit 30" and images.labels.tolist() == [0, 1]
    assert images.read(1)[0, 0].tolist() == [1, 5, 7]


def test_boxes_are_cut_out(tmp_path):
    pixels = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    objects = [
        LabelledBox((2.0, 3.0, 12.0, 13.0), 1),
        LabelledBox((0.0, 0.0, 30.0, 20.0), 0, crowd=True),
        LabelledBox((5.0, 5.0, 9.0, 19.0), 0),  # 4 pixels wide
    ]
    found = LabelledSet(("cell", "plate"), [LabelledImage("x", tmp_path / "x.png", 30, 20, objects)], Problems())
    images = BoxImages(found)
    assert images.labels.tolist() == [1] and (images.read(0) == pixels[3:13, 2:12]).all()
    assert (BoxImages(found, enlarge=1.6).read(0) == pixels[0:16, 0:15]).all()  # cut at the border
    with pytest.raises(ClipkitError, match="no box of 50 pixels"):
        BoxImages(found, least=50)
    found.problems.add("missing images", "y.png")
    with pytest.raises(
        ClipkitError, match=r"1 missing images: y\.png. Repair this, or go on without them by on_bad=skip"
    ):
        BoxImages(found)
    assert len(BoxImages(found, on_bad="skip")) == 1


def test_a_box_outside_its_picture_is_one_line(tmp_path):
    paint(tmp_path / "x.png", (1, 2, 3), (50, 50))
    image = LabelledImage("x", tmp_path / "x.png", 200, 200, [LabelledBox((100.0, 100.0, 150.0, 150.0), 0)])
    with pytest.raises(ClipkitError, match=r"x\.png: its box 100, 100, 150, 150 lies outside"):
        BoxImages(LabelledSet(("cell",), [image], Problems())).read(0)


def test_mistakes_are_named(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        ImageFolder(tmp_path / "none")
    with pytest.raises(ClipkitError, match="has no folders in it"):
        ImageFolder(folder / "traffic_light/deep")
    (folder / "empty").mkdir()
    with pytest.raises(ClipkitError, match="empty: holds no images"):
        ImageFolder(folder)
    with pytest.raises(ClipkitError, match='no data set "CIFAR11"; did you mean "CIFAR10"'):
        TorchvisionImages("CIFAR11", tmp_path)
    with pytest.raises(ValueError, match="labels must lie"):
        ImageArray(np.zeros((1, 2, 2, 3), np.uint8), [2], ["a"])
