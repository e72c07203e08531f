"""Own data in every format is training data: the same objects and masks reach the model."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")
pytest.importorskip("supervision")

from mmengine.registry import DefaultScope

import clipkit.detection
import clipkit.segmentation  # noqa: F401
from clipkit.data.annotations import LabelledBox, LabelledImage, LabelledSet
from clipkit.data.coco_results import to_rle
from clipkit.data.formats import FORMATS
from clipkit.data.pairs import Problems
from clipkit.data.write_formats import write_labelled
from clipkit.engine.build import prepare_config
from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError


@pytest.fixture
def found(tmp_path) -> LabelledSet:
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(tmp_path / "photos/a.png")
    mask = np.zeros((40, 60), bool)
    mask[5:15, 10:30] = True
    image = LabelledImage(0, tmp_path / "photos/a.png", 60, 40)
    image.objects = [LabelledBox((10, 5, 30, 15), 1, mask=to_rle(mask))]
    return LabelledSet(("cat", "dog"), [image], Problems())


def build(config, kind, folder, photos, labels=None):
    root = {"format": kind, "train": str(folder), "val": str(folder), "images": str(photos)}
    options = {**root, "labels": str(labels or folder / "labels.txt"), "clip": "tiny_clip", "weights": None}
    cfg = prepare_config(config, cfg_options={f"variables.{key}": value for key, value in options.items()})
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        datasets = [DATASETS.build(cfg[f"{split}_dataloader"].dataset) for split in ("train", "val")]
        for dataset in datasets:
            dataset.full_init()
    return datasets


@pytest.mark.parametrize("kind", FORMATS)
def test_boxes_reach_the_detector(found, tmp_path, kind):
    write_labelled(found, tmp_path / kind, kind)
    train, val = build("vild/vild_folder.py", kind, tmp_path / kind, tmp_path / "photos")
    assert train.metainfo["classes"] == ("cat", "dog") and len(train) == len(val) == 1
    (item,) = train.get_data_info(0)["instances"]
    assert item["bbox_label"] == 1
    assert item["bbox"] == pytest.approx([10, 5, 30, 15], abs=1.01)  # an outline runs through the pixels at the edge
    assert len(val[0]["data_samples"].metainfo["instances"]) == 1


@pytest.mark.parametrize("kind", ["coco", "yolo", "masks"])
def test_masks_reach_the_segmentor(found, tmp_path, kind):
    write_labelled(found, tmp_path / kind, kind)
    _, val = build("lseg/lseg_formats.py", kind, tmp_path / kind, tmp_path / "photos")
    ids = val[0]["data_samples"].gt_sem_seg.data[0].numpy()
    wanted = np.full((40, 60), 255)
    wanted[5:15, 10:30] = 1
    assert (ids == wanted).mean() > 0.97 and set(np.unique(ids)) == {1, 255}


def test_what_cannot_train_is_one_line(found, tmp_path):
    write_labelled(found, tmp_path / "voc", "voc")
    with pytest.raises(ClipkitError, match="boxes without masks"):
        build("lseg/lseg_formats.py", "voc", tmp_path / "voc", tmp_path / "photos")
    with pytest.raises(ClipkitError, match=r"variables\.…=PATH"):
        build("lseg/lseg_formats.py", "yolo", tmp_path / "voc", tmp_path / "photos")
    (tmp_path / "none.txt").write_text("bird\n")
    with pytest.raises(ClipkitError, match="has no category 'bird'"):
        build("vild/vild_folder.py", "voc", tmp_path / "voc", tmp_path / "photos", labels=tmp_path / "none.txt")
    (tmp_path / "voc/JPEGImages/a.png").write_text("no picture")
    with pytest.raises(ClipkitError, match="1 unreadable images"):
        build("vild/vild_folder.py", "voc", tmp_path / "voc", tmp_path / "photos")
