"""The embedded world as a detection data set, and the teacher's store that it makes."""

import numpy as np
import pytest
import torch

pytest.importorskip("mmdet")

from mmengine.registry import DefaultScope

from clipkit.adapters import CLIPTeacher
from clipkit.detection.shapes_dataset import ShapesDetDataset
from clipkit.embed.region_store import TeacherStore
from clipkit.shapes import tiny_clip
from clipkit.text.class_rows import ClipText

PACK = [dict(type="mmdet.RandomFlip", prob=1.0), dict(type="mmdet.PackDetInputs")]


def build(**changes):
    with DefaultScope.overwrite_default_scope("clipkit"):
        return ShapesDetDataset(**{"length": 6, "seed": 3, **changes})


@pytest.fixture(scope="module")
def scenes():
    return build(pipeline=[], test_mode=True)


def test_boxes_are_around_masks_and_labels_are_names(scenes):
    from clipkit.shapes import render

    names = scenes.metainfo["classes"]
    assert len(names) == 96 and len(scenes.metainfo["novel_classes"]) == 24
    raw = render(256, seed=3 * 1_000_003, size=128, objects=(2, 5))
    for i in range(6):
        item = scenes[i]
        boxes, masks = item["gt_bboxes"].tensor.numpy(), item["gt_masks"].masks
        assert len(boxes) == int(raw.present[i].sum()) == len(item["instances"])
        for box, mask, label, entry in zip(boxes, masks, item["gt_bboxes_labels"], item["instances"]):
            ys, xs = np.nonzero(mask)
            assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] == entry["bbox"]
            assert set(raw.semantic[i].numpy()[mask > 0]) == {label}


def test_novel_objects_are_seen_and_not_labelled(scenes):
    base = build(pipeline=[], labelled="base")
    assert np.array_equal(base.images, scenes.images)
    novel = set(scenes.metainfo["novel_classes"])
    names = np.array(scenes.metainfo["classes"])
    dropped = 0
    for i in range(6):
        everything, labelled = (set(names[d[i]["gt_bboxes_labels"]]) for d in (scenes, base))
        assert labelled == everything - novel
        dropped += len(everything & novel)
    assert dropped > 0
    assert np.array_equal(build(length=2, pipeline=[]).images, scenes.images[:2])  # whatever the number of scenes
    with pytest.raises(ValueError, match="known: base, all"):
        build(labelled="novel")


def test_the_store_holds_what_the_teacher_says(tmp_path, scenes):
    folder = str(tmp_path / "teacher")
    teach = dict(folder=folder, most=4, precision="fp32")
    taught = build(length=3, teacher=teach, pipeline=[dict(type="TeacherRegions", store=folder, transforms=PACK)])
    store = TeacherStore(folder)
    assert len(store) == 3
    regions = store["shapes_det/photo/128/3/1"]
    assert regions.embeddings.shape == (4, 128)
    image = torch.from_numpy(scenes.images[1, :, :, ::-1].copy()).movedim(-1, 0)[None].float() / 255
    wanted = CLIPTeacher(tiny_clip(), (1.0, 1.5)).regions(image, [torch.from_numpy(regions.boxes)])
    assert (wanted * torch.from_numpy(regions.embeddings)).sum(1).min() > 0.9999
    assert taught[1]["data_samples"].metainfo["teacher_weights"] == ClipText("tiny_shapes").clip.weights_hash
    packed = taught[1]["data_samples"].teacher_regions
    x1, y1, x2, y2 = torch.from_numpy(regions.boxes).T
    torch.testing.assert_close(packed.bboxes, torch.stack([128 - x2, y1, 128 - x1, y2], 1))
    assert torch.equal(packed.embeddings, torch.from_numpy(regions.embeddings))
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "teacher").iterdir()}
    build(length=3, teacher=teach, pipeline=[])  # all is there: nothing is written
    assert before == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "teacher").iterdir()}
    build(length=3, teacher=teach, pipeline=[], objects=(1, 2))  # other scenes of this seed stand beside these
    store = TeacherStore(folder)
    assert len(store) == 6 and "shapes_det/photo/128/3/1-2/1" in store
    assert np.array_equal(store["shapes_det/photo/128/3/1"].embeddings, regions.embeddings)
