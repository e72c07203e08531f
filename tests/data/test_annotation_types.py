"""Annotations of another type than the format says: each is one line or a counted problem, never a traceback."""

import copy
import json
import math
import unicodedata

import numpy as np
import pytest
from PIL import Image

from clipkit.data.annotations import judged_annotations, read_coco, read_coco_file, read_voc
from clipkit.data.captioned import KarpathyImages
from clipkit.errors import ClipkitError

WRONG = [None, True, "1", [], [1], {}, {"a": 1}, -1, 0, 1.5, 10**400, math.inf, math.nan, "a" * 300, "\ud800", "a\0b"]
BASE = {
    "images": [{"id": 1, "file_name": "a.png", "width": 50, "height": 40}],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "iscrowd": 0}],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "i").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (50, 40)).save(tmp_path / "i" / name)
    return tmp_path


def read(folder, content, **options):
    (folder / "c.json").write_text(json.dumps(content))
    return read_coco(folder / "c.json", folder / "i", **options)


@pytest.mark.parametrize("place", ["images", "categories", "annotations"])
def test_every_value_of_every_key(folder, place):
    keys = {"images": ("id", "file_name", "width", "height"), "categories": ("id", "name")}
    for key in keys.get(place, ("id", "image_id", "category_id", "bbox", "iscrowd", "segmentation", "area")):
        for value in [*WRONG, "missing"]:
            content = copy.deepcopy(BASE)
            content[place][0][key] = value
            if value == "missing":
                del content[place][0][key]
            try:
                found = read(folder, content, masks=key == "segmentation")
                judged = judged_annotations(read_coco_file(folder / "c.json"))[0]
            except ClipkitError as error:
                assert str(folder / "c.json") in str(error) and "\n" not in str(error), (key, value)
                continue
            kept = [box for image in found.images for box in image.objects]
            assert kept or found.problems, (key, value)
            for box in kept:
                assert all(map(math.isfinite, box.box)) and box.crowd is (key == "iscrowd" and value is True), (
                    key,
                    value,
                )
            for row in judged:
                assert math.isfinite(row["area"]) and row["iscrowd"] in (0, 1), (key, value)


@pytest.mark.parametrize(
    "box", [["1", 1, 2, 3], [1, 1, 2], [1, 1, 10**400, 3], {"0": 1}, [1, 1, math.inf, 3], [True] * 4]
)
def test_a_box_is_four_numbers(folder, box):
    content = copy.deepcopy(BASE)
    content["annotations"][0]["bbox"] = box
    assert read(folder, content).problems == {"boxes that are no four numbers": ["annotation 1"]}


def test_a_box_beyond_its_image_is_cut_and_noted(folder):
    content = copy.deepcopy(BASE)
    content["annotations"] += [{**content["annotations"][0], "id": 2, "bbox": [40, 30, 30, 30]}]
    found = read(folder, content)
    assert found.images[0].objects[1].box == (40, 30, 50, 40) and not found.problems
    assert found.notes == {"boxes that reach beyond their image (cut at its edge)": ["annotation 2"]}


@pytest.mark.parametrize("boxes", [[[0.1, 0.2, 0.5, 0.5]], [[0, 0, 1, 1]]])
def test_boxes_as_shares_of_the_image_are_named(folder, boxes):
    content = copy.deepcopy(BASE)
    content["annotations"] = [{**BASE["annotations"][0], "id": i, "bbox": box} for i, box in enumerate(boxes)]
    assert "boxes inside their image's first pixel" in read(folder, content).problems.summary()


@pytest.mark.parametrize(
    "boxes, corners",
    [
        ([[30, 25, 45, 38], [2, 2, 20, 20]], True),
        ([[30, 25, 45, 38], [30, 25, 10, 10]], False),  # the second's end would lie before its start
        ([[2, 2, 20, 20], [5, 5, 30, 30]], False),  # all fit as they are
        ([[2, 2, 60, 60], [30, 25, 45, 38]], False),  # the first fits in neither way
        ([[10, 10, 42, 20], [2, 2, 20, 20]], False),  # the first was drawn a little beyond the edge
    ],
)
def test_corners_in_place_of_width_and_height_are_named(folder, boxes, corners):
    content = copy.deepcopy(BASE)
    content["annotations"] = [{**BASE["annotations"][0], "id": i, "bbox": box} for i, box in enumerate(boxes)]
    found = read(folder, content)
    assert ("boxes seem to be x1, y1, x2, y2" in found.problems.summary()) is corners
    assert len(found.images[0].objects) == (0 if corners else 2)


@pytest.mark.parametrize("polygon", [[40, 30, 48, 30, 48, 38], [0.1, 0.1, 0.4, 0.1, 0.4, 0.4]])
def test_a_mask_lies_in_its_box(folder, polygon):
    content = copy.deepcopy(BASE)
    content["annotations"][0] |= {"bbox": [5, 5, 20, 20], "segmentation": [polygon]}
    assert read(folder, content, masks=True).problems == {"masks that lie outside their box": ["annotation 1"]}
    alone = read(folder, content)
    assert alone.images[0].objects[0].mask is None and alone.notes


@pytest.mark.parametrize("stored, named", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_found_in_either_spelling(folder, stored, named):
    content = copy.deepcopy(BASE)
    name = "sub/caf\u00e9.png"
    (folder / "i" / "sub").mkdir()
    (folder / "i" / "a.png").rename(folder / "i" / unicodedata.normalize(stored, name))
    content["images"][0]["file_name"] = unicodedata.normalize(named, name)
    assert len(read(folder, content).images) == 1


@pytest.mark.parametrize("flag", ["0", "false", "1", 2, -1, [0], {}])
def test_iscrowd_is_zero_or_one(folder, flag):
    for key in ("iscrowd", "ignore"):
        content = copy.deepcopy(BASE)
        content["annotations"][0][key] = flag
        assert read(folder, content).problems == {"objects whose iscrowd is neither 0 nor 1": ["annotation 1"]}


def test_ids_that_repeat(folder):
    twice = copy.deepcopy(BASE)
    twice["images"].append({**BASE["images"][0], "file_name": "b.png"})
    found = read(folder, twice)
    assert not found.images and list(found.problems.values()) == [["1 (a.png, b.png)"]]
    again = copy.deepcopy(BASE)
    again["images"] *= 2
    assert read(folder, again).problems == {"images that are listed twice": ["a.png"]}
    other = copy.deepcopy(BASE)
    other["images"].append({**BASE["images"][0], "id": 2})
    assert read(folder, other).problems == {"files that stand under several image ids": ["a.png (1, 2)"]}
    boxes = copy.deepcopy(BASE)
    boxes["annotations"] *= 2
    found = read(folder, boxes)
    assert len(found.images[0].objects) == 1 and "number them anew" in found.problems.summary()
    kinds = copy.deepcopy(BASE)
    kinds["categories"].append({"id": 1, "name": "dog"})
    with pytest.raises(ClipkitError, match=r"two categories have the id 1: 'cat' and 'dog'"):
        read(folder, kinds)


def test_a_key_twice_and_deep_nesting_are_one_line(folder):
    text = json.dumps(BASE)
    for bad, said in (
        (text.replace('"width": 50', '"width": 50, "width": 60'), "the key 'width' stands twice"),
        ("[" * 10**5, "nested too deeply"),
        (text.replace("50", "9" * 5000), "not readable as JSON"),
    ):
        (folder / "c.json").write_text(bad)
        with pytest.raises(ClipkitError, match=rf"c\.json: .*{said}"):
            read_coco(folder / "c.json", folder / "i")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(folder, encoding):
    (folder / "c.json").write_bytes(json.dumps(BASE).encode(encoding))
    assert len(read_coco(folder / "c.json", folder / "i").images) == 1


def test_names_stay_below_the_folder(folder):
    Image.new("RGB", (50, 40)).save(folder / "out.png")
    (folder / "i/sub").mkdir()
    Image.new("RGB", (50, 40)).save(folder / "i/sub/c.png")
    for name in ("../out.png", str(folder / "out.png"), "sub/../../out.png", "..\\out.png"):
        content = copy.deepcopy(BASE)
        content["images"][0]["file_name"] = name
        found = read(folder, content)
        assert not found.images and "as images=" in found.problems.summary(), name
    for name in (
        "sub\\c.png",
        "sub/c.png",
        str(folder / "i/sub/c.png"),
        "C:\\data\\sub\\c.png",
        "D:\\x\\i\\sub\\c.png",
    ):
        content["images"][0]["file_name"] = name
        assert [i.path for i in read(folder, content).images] == [folder / "i/sub/c.png"], name


def exif(orientation):
    found = Image.Exif()
    found[0x0112] = orientation
    return found


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_sizes_are_those_of_the_upright_picture(folder, orientation):
    Image.new("RGB", (50, 40)).save(folder / "i/a.png", exif=exif(orientation))
    shown = (40, 50) if orientation == 6 else (50, 40)
    for stated in ((50, 40), (40, 50), (500, 400)):
        content = copy.deepcopy(BASE)
        content["images"][0].update(width=stated[0], height=stated[1])
        found = read(folder, content)
        if stated == shown:
            assert len(found.images) == 1 and not found.problems
        else:
            said = "EXIF turns" if orientation == 6 and stated == (50, 40) else "another size"
            assert not found.images and said in found.problems.summary()


def test_masks_fit_their_image(folder):
    coder = pytest.importorskip("pycocotools.mask")
    mask = np.zeros((40, 50), np.uint8)
    mask[5:20, 10:30] = 1

    def rle(array):
        found = coder.encode(np.asfortranarray(array))
        return {"size": [int(s) for s in found["size"]], "counts": found["counts"].decode()}

    good = rle(mask)
    runs = [205, 15, *[25, 15] * 19, 2000 - 205 - 20 * 40 + 25]
    polygon = [1, 1, 20, 1, 20, 20]
    for value, kept in (
        (good, True),
        ({"size": [40, 50], "counts": [2000]}, True),
        (runs and {"size": [40, 50], "counts": [*runs[:1], 2000 - runs[0]]}, True),
        ([polygon], True),
        ([polygon, [1, 1, 2, 2]], True),
        (rle(mask.T), False),
        (rle(mask[::2, ::2]), False),
        ({"size": [40, 50], "counts": [1999]}, False),
        ({"size": [40, 50], "counts": [-1, 2001]}, False),
        ({"size": [40, 50], "counts": good["counts"][:-2]}, False),
        ({"size": [40, 50], "counts": "~~~~"}, False),
        ({"size": "40", "counts": "abc"}, False),
        ([[1, 1, 20, 1, 20]], False),
        ([[1, 1, 20, 1, 20, math.nan]], False),
        ([["1", 1, 20, 1, 20, 20]], False),
        ([[1, 1, 2, 2]], False),
        (polygon, False),
        ("mask", False),
    ):
        content = copy.deepcopy(BASE)
        content["annotations"][0]["segmentation"] = value
        found = read(folder, content, masks=True)
        assert [len(i.objects) for i in found.images] == [int(kept)] and bool(found.problems) is not kept, value
        plain = read(folder, content).images[0].objects[0]  # boxes alone
        assert (plain.mask is not None) is kept, value


def test_compressed_rle_of_many_shapes_is_read_as_pycocotools_does():
    coder = pytest.importorskip("pycocotools.mask")
    from clipkit.data._objects import _runs

    random = np.random.default_rng(0)
    for height, width in ((1, 1), (3, 500), (700, 400), (40, 41)):
        for share in (0.0, 0.02, 0.5, 1.0):
            mask = (random.random((height, width)) < share).astype(np.uint8)
            runs = _runs(coder.encode(np.asfortranarray(mask))["counts"].decode())
            back = np.concatenate([np.full(n, i % 2, np.uint8) for i, n in enumerate(runs)])
            assert (mask == back.reshape(width, height).T).all()


def test_a_class_that_the_file_lacks_is_named(folder):
    found = read(folder, BASE, classes=["dog", "cat"])
    assert found.lacking == ("dog",) and found.counts() == [0, 1] and found.images[0].objects[0].label == 1


XML = "<annotation><size><width>{}</width><height>{}</height></size>{}</annotation>"
OBJECT = (
    "<object><name>cat</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>9</xmax>"
    "<ymax>9</ymax></bndbox></object>"
)


def voc(folder, xml, split=b"a\n", orientation=1):
    for part in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (folder / "v" / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (50, 40)).save(folder / "v/JPEGImages/a.jpg", exif=exif(orientation))
    (folder / "v/ImageSets/Main/t.txt").write_bytes(split)
    (folder / "v/Annotations/a.xml").write_bytes(xml if isinstance(xml, bytes) else xml.encode())
    return read_voc(folder / "v", "t", ["cat"])


def test_voc_goes_through_the_same_checks(folder):
    good = XML.format(50, 40, OBJECT.format(0, 1))
    assert len(voc(folder, good).images[0].objects) == 1
    assert len(voc(folder, good, split="\ufeffa\r\na\r\n".encode()).images) == 1  # a mark, and listed twice
    assert len(voc(folder, good, split="a\n".encode("utf-16")).images) == 1
    assert not voc(folder, XML.format(0, 0, "")).problems  # a size that the tool did not know
    assert "another size" in voc(folder, XML.format(500, 400, "")).problems.summary()
    turned = voc(folder, XML.format(40, 50, OBJECT.format(0, 1)), orientation=6)
    assert (turned.images[0].width, turned.images[0].height) == (40, 50) and not turned.problems
    assert "EXIF turns" in voc(folder, good, orientation=6).problems.summary()
    assert "difficult" in voc(folder, XML.format(50, 40, OBJECT.format("yes", 1))).problems.summary()
    for text in ("nan", "inf", "1e999", ""):
        assert "no four numbers" in voc(folder, XML.format(50, 40, OBJECT.format(0, text))).problems.summary()
    for xml in (b'<?xml version="1.0" encoding="foo"?><annotation/>', b"", b"\xff\xfe<", b"<a>" * 10**5):
        assert voc(folder, xml).problems == {"unreadable annotation files": ["a.xml"]}
    with pytest.raises(ClipkitError, match=r"t\.txt:1: is not UTF-8 text"):
        voc(folder, good, split=b"\xff\xfe\n")
    assert voc(folder, good, split=b"../../i/a\n").problems == {"missing images": ["../../i/a"]}


@pytest.mark.parametrize("key", ["split", "filename", "filepath", "sentences"])
def test_karpathys_lists(folder, key):
    whole = {"split": "test", "filename": "a.png", "sentences": [{"raw": "x"}]}
    for value in [*WRONG, "../c.json"]:
        (folder / "k.json").write_text(json.dumps({"images": [{**whole, key: value}]}))
        try:
            assert len(KarpathyImages(folder / "k.json", folder / "i")) == 1
            assert key == "filepath"  # what is not there is looked for without it
        except ClipkitError as error:
            assert str(folder) in str(error) and "\n" not in str(error)
    (folder / "k.json").write_text(json.dumps({"images": [{**whole, "sentences": []}]}))
    with pytest.raises(ClipkitError, match="have no sentences"):
        KarpathyImages(folder / "k.json", folder / "i")
