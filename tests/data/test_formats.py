"""Labelled sets through the formats of other tools and back: no class lost, boxes where they were."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("supervision")

from clipkit.data.annotations import LabelledBox, LabelledImage, LabelledSet, read_voc
from clipkit.data.coco_results import from_coco_mask, to_rle
from clipkit.data.formats import read_labelled
from clipkit.data.pairs import Problems
from clipkit.data.write_formats import image_root, write_labelled
from clipkit.errors import ClipkitError

CELLS = {"RBC": "red blood cell", "WBC": "white blood cell", "Platelets": "platelet"}


def picture(path, width, height):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def made_up(tmp_path) -> LabelledSet:
    """Boxes at the edges, tiny and thin ones, an image without any, and a class that no image holds."""
    boxes = [(0, 0, 640, 480), (638, 478, 640, 480), (7, 11, 333, 222), (100, 50, 102, 480)]
    images = [LabelledImage(i, picture(tmp_path / f"photos/{i}.png", 640, 480), 640, 480) for i in range(3)]
    images[0].objects = [LabelledBox(box, i % 3) for i, box in enumerate(boxes)]
    images[2].objects = [LabelledBox((3, 4, 5, 6), 2)]
    return LabelledSet(("cat", "a big dog", "tree", "nobody"), images, Problems())


def same(found, wanted, tolerance):
    assert found.classes == wanted.classes and not found.problems
    assert [(i.path.name, i.width, i.height) for i in found.images] == [
        (i.path.name, i.width, i.height) for i in wanted.images
    ]
    for one, other in zip(found.images, wanted.images):
        assert [o.label for o in one.objects] == [o.label for o in other.objects]
        corners = [np.array([o.box for o in image.objects]).reshape(-1, 4) for image in (one, other)]
        assert np.abs(corners[0] - corners[1]).max(initial=0) <= tolerance


LIMITS = {"coco": 0, "voc": 0, "yolo": 0.01}


@pytest.mark.parametrize("kind", LIMITS)
def test_boxes_go_through_every_format_and_back(made_up, tmp_path, kind):
    write_labelled(made_up, tmp_path / kind, kind)
    found = read_labelled(tmp_path / kind, kind, classes=made_up.classes[:3], images=image_root(made_up))
    same(found, LabelledSet(made_up.classes[:3], made_up.images, Problems()), LIMITS[kind])
    if kind != "voc":  # which lists no classes
        assert read_labelled(tmp_path / kind, kind, images=image_root(made_up)).classes == made_up.classes


def test_bccd_goes_through_every_format_and_back(data_root, tmp_path):
    if not (data_root / "bccd").is_dir():
        pytest.skip("no bccd/ in the data")
    wanted = read_voc(data_root / "bccd", "val", list(CELLS.values()), CELLS, check=False)
    wanted.problems.clear()  # a few boxes without area, which no format takes
    wanted.images.sort(key=lambda image: image.path)
    assert {o.label for image in wanted.images for o in image.objects} == {0, 1, 2}
    for kind, limit in LIMITS.items():
        write_labelled(wanted, tmp_path / kind, kind)
        found = read_labelled(tmp_path / kind, kind, classes=wanted.classes, images=image_root(wanted))
        same(found, wanted, limit)
        wanted = LabelledSet(wanted.classes, found.images, Problems()) if kind != "yolo" else wanted  # a chain
    plain = read_labelled(data_root / "bccd", "voc", "val", list(CELLS.values()), CELLS)
    assert sum(len(i.objects) for i in plain.images) == sum(len(i.objects) for i in wanted.images)


def masked(tmp_path) -> LabelledSet:
    image = LabelledImage(0, picture(tmp_path / "photos/a.png", 60, 40), 60, 40)
    ball, ring = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    ball[5:15, 10:30] = True
    ring[20:36, 5:25], ring[24:32, 10:20] = True, False
    image.objects = [
        LabelledBox((10, 5, 30, 15), 1, mask=to_rle(ball), score=0.5),
        LabelledBox((5, 20, 25, 36), 0, mask=to_rle(ring)),
    ]
    return LabelledSet(("ring", "ball"), [image], Problems())


@pytest.mark.parametrize(("kind", "overlap"), [("coco", 1.0), ("masks", 1.0), ("yolo", 0.85)])
def test_masks_go_through_and_back(tmp_path, kind, overlap):
    wanted = masked(tmp_path)
    write_labelled(wanted, tmp_path / kind, kind)
    found = read_labelled(tmp_path / kind, kind, images=image_root(wanted))
    assert found.classes == wanted.classes and not found.problems
    objects = sorted(found.images[0].objects, key=lambda o: -o.label)
    for one, other in zip(objects, wanted.images[0].objects, strict=True):
        a, b = (from_coco_mask(o.mask, 40, 60) for o in (one, other))
        assert one.label == other.label and (a & b).sum() / (a | b).sum() >= overlap


def test_coco_is_read_by_pycocotools(tmp_path, capsys):
    from pycocotools.coco import COCO

    write_labelled(masked(tmp_path), tmp_path / "out", "coco")
    coco = COCO(str(tmp_path / "out/annotations.json"))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["ring", "ball"]
    ball, ring = coco.loadAnns(coco.getAnnIds())
    assert coco.annToMask(ball).sum() == ball["area"] == 200 and coco.annToMask(ring).sum() == 16 * 20 - 80
    assert ball["score"] == 0.5 and (tmp_path / "photos" / coco.imgs[1]["file_name"]).is_file()


def test_parts_are_found_in_the_usual_places(made_up, tmp_path):
    write_labelled(made_up, tmp_path / "a", "yolo")
    for place in ("b/images/train", "c/train/images"):
        (tmp_path / place).parent.mkdir(parents=True)
        shutil.copytree(tmp_path / "a/images", tmp_path / place)
        shutil.copytree(tmp_path / "a/labels", tmp_path / place.replace("images", "labels"))
        shutil.copy(tmp_path / "a/data.yaml", tmp_path / place[0])
        same(read_labelled(tmp_path / place[0], "yolo", "train"), made_up, 0.01)
    with pytest.raises(FileNotFoundError, match="has no folders images/val with labels/val"):
        read_labelled(tmp_path / "b", "yolo", "val")
    (tmp_path / "b/data.yaml").write_text("names: {1: b, 0: a}")
    found = read_labelled(tmp_path / "b", "yolo", "train")
    assert found.classes == ("a", "b") and len(found.problems["objects of classes that the set does not list"]) == 2


def test_what_is_wrong_is_counted_or_one_line(made_up, tmp_path):
    write_labelled(made_up, tmp_path / "y", "yolo")
    (tmp_path / "y/labels/0.txt").write_text("0 0.5 0.5\n")
    (tmp_path / "y/labels/1.txt").write_text("0 1.5 0.5 0.2 0.2\n")
    (tmp_path / "y/images/2.png").write_text("no picture")
    found = read_labelled(tmp_path / "y", "yolo")
    assert set(found.problems) == {
        "unreadable annotation files", "unreadable images", "boxes outside their image or of zero size"
    }  # fmt: skip
    with pytest.raises(ClipkitError, match="unknown format"):
        read_labelled(tmp_path, "yollo")
    with pytest.raises(ClipkitError, match="has a box but no mask"):
        write_labelled(made_up, tmp_path / "m", "masks")
    (tmp_path / "y/data.yaml").write_text("!!python/object/apply:os.getcwd []")
    with pytest.raises(ClipkitError, match="lists no classes"):
        read_labelled(tmp_path / "y", "yolo")
    twice = [made_up.images[0], LabelledImage(9, picture(tmp_path / "other/0.png", 4, 4), 4, 4)]
    with pytest.raises(ClipkitError, match='two are called "0"'):
        write_labelled(LabelledSet(made_up.classes, twice, Problems()), tmp_path / "v", "voc")
    assert os.listdir(tmp_path / "v") == ["labels.txt"]


def test_names_of_yolo_by_numbers_that_are_none(made_up, tmp_path):
    write_labelled(made_up, tmp_path / "yolo", "yolo")
    for names in ("cat", "{.inf: cat}", "{.nan: cat}", "3", "[[[["):
        (tmp_path / "yolo/data.yaml").write_text(f"names: {names}")
        with pytest.raises(ClipkitError, match=r"data\.yaml: lists no classes"):
            read_labelled(tmp_path / "yolo", "yolo")


def test_yolos_numbers_are_those_of_data_yaml(made_up, tmp_path):
    write_labelled(made_up, tmp_path / "y", "yolo")
    names = {i + 1: name for i, name in enumerate(made_up.classes)}
    (tmp_path / "y/data.yaml").write_text(f"names: {names}")
    for file in (tmp_path / "y/labels").glob("*.txt"):
        lines = [line.split(" ", 1) for line in file.read_text().splitlines()]
        file.write_text("".join(f"{int(number) + 1} {rest}\n" for number, rest in lines))
    same(read_labelled(tmp_path / "y", "yolo"), made_up, 0.01)


@pytest.mark.parametrize("kind, what", [("yolo", "annotation files"), ("masks", "masks")])
def test_labels_without_an_image_are_named(made_up, tmp_path, kind, what):
    for image in made_up.images:  # masks need masks
        for item in image.objects:
            item.mask = to_rle(np.ones((480, 640), bool))
    write_labelled(made_up, tmp_path / "y", kind)
    (tmp_path / "y/images/1.png").rename(tmp_path / "y/images/1.heic")
    (tmp_path / "y" / ("labels" if kind == "yolo" else "masks") / "classes.txt").write_text("cat\n")
    found = read_labelled(tmp_path / "y", kind)
    assert found.problems == {f"{what} without an image": ["1.txt" if kind == "yolo" else "1.png"]}
