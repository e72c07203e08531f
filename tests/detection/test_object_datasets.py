"""Detection sets: what each class has is said, what is empty or lacks a class is refused or named."""

import json

import pytest
from PIL import Image

pytest.importorskip("mmdet")

from clipkit.detection.datasets import CocoJsonDataset
from clipkit.engine.register import register_all
from clipkit.errors import ClipkitError

register_all()


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr("clipkit.detection.datasets.print_log", lambda line, logger: lines.append(line))
    return lines


def data(root, owners=(1, 1, 2), names=("cat", "dog", "fox"), size=(50, 40), **options):
    (root / "2024").mkdir(exist_ok=True)
    Image.new("RGB", size).save(root / "2024/a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": size[0], "height": size[1]}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": c, "bbox": [1, 0, 9, min(9, size[1])]} for i, c in enumerate(owners)
        ],
    }
    (root / "x.json").write_text(json.dumps(content))
    return CocoJsonDataset("x.json", 2024, data_root=str(root), **{"pipeline": [], **options})


def test_counts_name_classes_without_a_box(tmp_path, said):
    data(tmp_path)
    assert said == [f"{tmp_path / 'x.json'}: 1 images, 3 boxes: cat 2, dog 1; NONE of: fox"]
    data(tmp_path, base_classes=["dog"], labelled="base")
    assert said[-1].endswith("1 boxes: dog 1")
    data(tmp_path, (1,) * 30, [f"kind {i}" for i in range(300)])
    assert "… (299 in all)" in said[-1] and len(said[-1]) < 1000


def test_a_set_without_an_object_is_refused(tmp_path):
    for options in ({"owners": ()}, {"base_classes": ["fox"], "labelled": "base"}):
        with pytest.raises(ClipkitError, match="no boxes of any class: nothing to learn from"):
            data(tmp_path, **options)


def test_a_class_that_is_lacking_is_a_mistake_in_training_and_named_in_tests(tmp_path, said):
    wanted = ["cat", "dgo", "dog"]
    with pytest.raises(ClipkitError, match="has no category 'dgo'; did you mean \"dog\""):
        data(tmp_path, classes=wanted)
    found = data(tmp_path, classes=wanted, test_mode=True)
    assert [item["bbox_label"] for item in found.get_data_info(0)["instances"]] == [0, 0, 2]
    assert any("no category 'dgo': evaluated without" in line for line in said)


def test_a_flat_picture_is_named(tmp_path):
    load = [dict(type="mmcv.LoadImageFromFile"), dict(type="mmdet.Resize", scale=(640, 640), keep_ratio=True)]
    found = data(tmp_path, size=(3000, 2), pipeline=load)
    with pytest.raises(ClipkitError, match=r"a\.png \(3000 x 2\): the pipeline cannot use this picture") as error:
        found[0]
    assert "\n" not in str(error.value)
