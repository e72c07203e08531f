"""Annotations of objects: what is read, and that everything wrong is counted, named and left out."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from clipkit.data.annotations import mask_problem, read_coco, read_voc
from clipkit.data.coco_results import from_coco_mask
from clipkit.errors import ClipkitError


def picture(path, width=40, height=30):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)


def coco(folder, annotations, images=(("a.jpg", 7), ("b.jpg", 3)), categories=((9, "Red_Cat"), (2, "dog"))):
    for name, _ in images:
        picture(folder / "images" / name)
    content = {
        "images": [{"id": i, "file_name": n, "width": 40, "height": 30} for n, i in images],
        "categories": [{"id": i, "name": n} for i, n in categories],
        "annotations": annotations,
    }
    (folder / "set.json").write_text(json.dumps(content))
    return folder / "set.json", folder / "images"


NUMBERS = itertools.count(1)


def entry(image=7, category=9, bbox=(1, 2, 10, 5), **more):
    return {"id": next(NUMBERS), "image_id": image, "category_id": category, "bbox": list(bbox), **more}


POLYGON = [[1.0, 2, 11, 2, 11, 7]]


def test_coco_is_read_in_the_order_of_the_classes(tmp_path):
    rows = [entry(segmentation=POLYGON), entry(3, 2, (30, 20, 100, 100)), entry(7, 2, iscrowd=1)]
    found = read_coco(*coco(tmp_path, rows))
    assert found.classes == ("Red_Cat", "dog") and not found.problems
    a, b = found.images
    assert (a.id, a.path.name, a.width, a.height) == (7, "a.jpg", 40, 30)
    assert [(o.box, o.label, o.crowd) for o in a.objects] == [((1, 2, 11, 7), 0, False), ((1, 2, 11, 7), 1, True)]
    assert a.objects[0].mask == POLYGON and a.objects[1].mask is None
    assert b.objects[0].box == (30, 20, 40, 30)  # clipped
    other = read_coco(*coco(tmp_path, rows), classes=["dog", "red cat"])
    assert [o.label for o in other.images[0].objects] == [1, 0]
    only = read_coco(*coco(tmp_path, rows), classes=["dog"])
    assert [len(i.objects) for i in only.images] == [1, 1] and not only.problems


def test_lvis_names_files_by_their_address(tmp_path):
    path, _ = coco(tmp_path, [entry()])
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/val2017/{image.pop('file_name')}"
    path.write_text(json.dumps(content))
    picture(tmp_path / "images/val2017/a.jpg")
    picture(tmp_path / "images/val2017/b.jpg")
    assert [i.path.parent.name for i in read_coco(path, tmp_path / "images").images] == ["val2017"] * 2


def test_a_path_that_archives_shorten_is_found_by_its_end(tmp_path):
    path, _ = coco(tmp_path, [entry()], images=[("images/v1/patch8/a.jpg", 7), ("images/v1/patch8/b.jpg", 3)])
    picture(tmp_path / "val/patch8/a.jpg")
    found = read_coco(path, tmp_path / "val", check=False)
    assert [i.path for i in found.images] == [tmp_path / "val/patch8/a.jpg"]
    assert found.problems == {"missing images": ["b.jpg"]}


def test_all_that_is_wrong_is_counted_and_named(tmp_path):
    rows = [
        entry(image=99), entry(category=5), entry(bbox=(1, 2, 3)), entry(bbox=(1, 2, float("nan"), 3)),
        entry(bbox=(50, 2, 3, 3)), entry(bbox=(5, 5, 0, 4)), entry(bbox=(5, 5, -4, 4)), entry(), entry(bbox="abc"),
    ]  # fmt: skip
    path, images = coco(tmp_path, rows, images=(("a.jpg", 7), ("b.jpg", 3), ("c.jpg", 4)))
    (images / "b.jpg").unlink()
    (images / "c.jpg").write_bytes((images / "a.jpg").read_bytes()[:200])
    found = read_coco(path, images, masks=True)
    assert {kind: len(where) for kind, where in found.problems.items()} == {
        "missing images": 1,
        "unreadable images": 1,
        "annotations of images that the file does not list": 1,
        "annotations of categories that the file does not list": 1,
        "boxes that are no four numbers": 3,
        "boxes outside their image or of zero size": 3,
        "objects without a mask": 1,
    }
    assert "1 missing images: b.jpg" in found.problems.summary()
    assert [i.path.name for i in found.images] == ["a.jpg"] and not found.images[0].objects
    assert "unreadable images" not in read_coco(path, images, check=False).problems


@pytest.mark.parametrize(
    "content, line",
    [
        ("{", "not readable as JSON"),
        ("[1]", 'no list "images"'),
        ('{"images": [], "annotations": 5, "categories": []}', 'no list "annotations"'),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "no id or no name"),
    ],
)
def test_a_file_that_is_not_coco_is_one_line(tmp_path, content, line):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ClipkitError, match=f"x.json.*{line}"):
        read_coco(tmp_path / "x.json", tmp_path)


def test_missing_files_and_classes_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such annotation file"):
        read_coco(tmp_path / "no.json", tmp_path)
    path, images = coco(tmp_path, [entry()])
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_coco(path, tmp_path / "no")
    with pytest.raises(ClipkitError, match="no category 'dogs'"):
        read_coco(path, images, classes=["dogs"])
    path, images = coco(tmp_path, [], categories=((1, "Fish"), (2, "fish")))
    with pytest.raises(ClipkitError, match=r"set\.json: .*[Ff]ish"):
        read_coco(path, images)


OBJECT = (
    "<object><name>{}</name>{}<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)


def voc(folder, **files):
    (folder / "ImageSets/Main").mkdir(parents=True)
    (folder / "ImageSets/Main/val.txt").write_text("\n".join(files) + "\n")
    (folder / "Annotations").mkdir()
    for name, objects in files.items():
        picture(folder / "JPEGImages" / f"{name}.png")
        (folder / "Annotations" / f"{name}.xml").write_text(f"<annotation>{objects}</annotation>")


def test_voc_counts_pixels_from_one(tmp_path):
    hard = OBJECT.format("dog", "<difficult>1</difficult>", 5, 6, 8, 9)
    voc(tmp_path, a=OBJECT.format("RBC", "", 1, 1, 40, 30) + hard + OBJECT.format("cat", "", 1, 1, 2, 2))
    found = read_voc(tmp_path, "val", ["dog", "red blood cell"], rename={"RBC": "red blood cell"})
    assert not found.problems and found.images[0].id == "a"
    assert [(o.box, o.label, o.crowd) for o in found.images[0].objects] == [
        ((0, 0, 40, 30), 1, False),
        ((4, 5, 8, 9), 0, True),
    ]


def test_voc_counts_broken_images_also_unchecked(tmp_path):
    good = OBJECT.format("cat", "", 2, 2, 9, 9)
    voc(tmp_path, a=good, b=good)
    (tmp_path / "JPEGImages/b.png").write_bytes(b"no picture")
    found = read_voc(tmp_path, "val", ["cat"], check=False)
    assert [i.id for i in found.images] == ["a"] and found.problems == {"unreadable images": ["b.png"]}


def test_voc_problems_are_counted_and_named(tmp_path):
    good = OBJECT.format("cat", "", 2, 2, 9, 9)
    voc(
        tmp_path,
        a=good + OBJECT.format("cat", "", 5, 5, 5, 9),
        b="<broken",
        c=OBJECT.format("cat", "", "x", 1, 2, 2),
        d="",
        e="",
    )
    (tmp_path / "JPEGImages/d.png").unlink()
    (tmp_path / "Annotations/e.xml").unlink()
    found = read_voc(tmp_path, "val", ["cat"])
    assert found.problems == {
        "boxes outside their image or of zero size": ["a.xml object 1"],
        "unreadable annotation files": ["b.xml"],
        "boxes that are no four numbers": ["c.xml object 0"],
        "missing images": ["d"],
        "images without an annotation file": ["e.xml"],
    }
    assert [i.id for i in found.images] == ["a", "c"]
    with pytest.raises(ClipkitError, match="no object is called dog; names in the annotations: cat"):
        read_voc(tmp_path, "val", ["dog"])
    with pytest.raises(FileNotFoundError, match=r"test\.txt"):
        read_voc(tmp_path, "test", ["cat"])


def test_polygons_that_crash_pycocotools_are_problems(tmp_path):
    assert mask_problem(POLYGON, 40, 30) is None
    assert mask_problem([[1.0, 2, 11, 2, 411, 7]], 40, 30) == "polygons that lead far out of their image"
    rows = [entry(segmentation=[[1.0, 2, 11, 2, far, 7]]) for far in (1.8e19, -4e9, 1e7)]
    found = read_coco(*coco(tmp_path, rows), masks=True)
    assert not found.images[0].objects and len(found.problems["polygons that lead far out of their image"]) == 3
    assert from_coco_mask([[1, 2, 3, 4], *POLYGON], 30, 40).sum() == from_coco_mask(POLYGON, 30, 40).sum() > 0


def test_an_image_of_petabytes_has_no_size(tmp_path):
    path, images = coco(tmp_path, [entry()])
    content = json.loads(path.read_text())
    content["images"][0] |= {"width": 1 << 25, "height": 1 << 25}
    path.write_text(json.dumps(content))
    assert "images without file_name, id or size" in read_coco(path, images, check=False).problems
