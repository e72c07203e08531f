"""DetectionAP: pycocotools' numbers through mmdet's samples, base and novel apart, replaced labels, LVIS's files."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("mmdet")

import clipkit.engine  # noqa: F401  isort: skip

from mmdet.evaluation import OVCocoMetric

from clipkit.detection.metrics import DetectionAP
from clipkit.errors import ClipkitError
from clipkit.evaluation import coco_precision, lvis_precision
from clipkit.text import Vocabulary

CLASSES = ("cat", "dog", "red bird")
META = dict(classes=CLASSES, base_classes=("cat", "dog"), novel_classes=("red bird",))


def sample(seed, labels=3, **meta):
    """Truth and detections of one image, near each other; masks are the boxes."""
    g = np.random.default_rng(seed)
    corner, side = g.uniform(0, 60, (4, 2)), g.uniform(10, 40, (4, 2))
    truth = np.concatenate([corner, corner + side], 1)
    owner = g.integers(0, 3, 4)
    near = np.repeat(truth, 2, 0) + g.normal(0, 2.5, (8, 4))
    masks = np.zeros((8, 110, 110), dtype=bool)
    for mask, (x1, y1, x2, y2) in zip(masks, near.round().astype(int)):
        mask[max(y1, 0) : y2, max(x1, 0) : x2] = True
    return {
        "img_id": seed,
        "ori_shape": (110, 110),
        "instances": [
            {"bbox": list(b), "bbox_label": int(c), "ignore_flag": 0, "mask": _polygon(b)} for b, c in zip(truth, owner)
        ],
        "pred_instances": {
            "bboxes": torch.tensor(near, dtype=torch.float32),
            "scores": torch.tensor(g.uniform(size=8), dtype=torch.float32),
            "labels": torch.tensor(np.where(g.uniform(size=8) < 0.8, np.repeat(owner, 2), g.integers(0, labels, 8))),
            "masks": torch.tensor(masks),
        },
        **meta,
    }


def same(scores):
    return pytest.approx(scores, nan_ok=True)


def _polygon(b):
    return [[b[0], b[1], b[2], b[1], b[2], b[3], b[0], b[3]]]


def score(metric, samples, meta=META):
    metric.dataset_meta = meta
    metric.process({}, samples)
    return metric.compute_metrics(metric.results)


def coco_files(samples, ids=(1, 2, 3)):
    """The same images and detections as COCO's truth and results."""
    truth = {
        "images": [{"id": s["img_id"], "width": 110, "height": 110} for s in samples],
        "categories": [{"id": i, "name": name} for i, name in zip(ids, CLASSES)],
        "annotations": [],
    }
    found = []
    for s in samples:
        for item in s["instances"]:
            x1, y1, x2, y2 = item["bbox"]
            box = [x1, y1, x2 - x1, y2 - y1]
            row = {
                "image_id": s["img_id"],
                "category_id": ids[item["bbox_label"]],
                "bbox": box,
                "area": box[2] * box[3],
            }
            truth["annotations"].append({"id": len(truth["annotations"]) + 1, "iscrowd": 0, **row})
        p = s["pred_instances"]
        for b, c, v in zip(p["bboxes"].double().tolist(), p["labels"].tolist(), p["scores"].tolist()):
            box = [b[0], b[1], b[2] - b[0], b[3] - b[1]]
            found.append({"image_id": s["img_id"], "category_id": ids[c], "bbox": box, "score": v})
    return truth, found


def test_numbers_are_those_of_the_plain_function():
    samples = [sample(i) for i in range(6)]
    got = score(DetectionAP(kinds=["bbox", "segm"]), samples)
    wanted = coco_precision(*coco_files(samples))
    expected = {**wanted.means(), **wanted.groups(base=CLASSES[:2], novel=CLASSES[2:])}
    for key, value in expected.items():
        assert got[key] == pytest.approx(value, abs=0.006, nan_ok=True), key
    assert 0 < got["novel_AP50"] < 100 and got["base_AP50"] != got["novel_AP50"] and 0 < got["segm_AP50"] < 100


def test_equal_to_mmdet_s_metric_where_that_is_right():
    samples = [sample(i) for i in range(6)]
    theirs = OVCocoMetric(metric="bbox", proposal_nums=(1, 10, 100))
    for s in samples:
        del s["pred_instances"]["masks"]
        for item in s["instances"]:
            del item["mask"]
    metric = score(theirs, samples)
    ours = score(DetectionAP(), [sample(i) for i in range(6)])
    for key in ("base_ap", "novel_ap", "base_ap50", "novel_ap50"):
        assert ours[key.replace("ap", "AP")] == pytest.approx(100 * metric[key], abs=0.006)


def test_an_annotation_file_with_ids_of_its_own_gives_the_same(tmp_path):
    samples = [sample(i) for i in range(4)]
    truth, _ = coco_files(samples, ids=(30, 7, 12))  # not sorted: columns of pycocotools are
    truth["categories"] = truth["categories"][::-1]
    truth["categories"][0]["name"] = "Red_Bird"
    (tmp_path / "x.json").write_text(json.dumps(truth))
    plain = score(DetectionAP(), samples)
    saved = tmp_path / "out/detections.json"
    assert score(DetectionAP(ann_file=str(tmp_path / "x.json"), save=str(saved)), samples) == same(plain)
    assert {d["category_id"] for d in json.loads(saved.read_text())} <= {30, 7, 12}
    more = {**META, "classes": ("zebra", *CLASSES)}  # a class that was trained, and that the file lacks
    shifted = [sample(i) for i in range(4)]
    for s in shifted:
        s["pred_instances"]["labels"] += 1
    assert score(DetectionAP(ann_file=str(tmp_path / "x.json")), shifted, more) == same(plain)
    with pytest.raises(ClipkitError, match="has no category zebra"):
        score(DetectionAP(ann_file=str(tmp_path / "x.json")), samples, {"classes": ("zebra",)})


def test_labels_are_matched_and_distractors_only_cost():
    names = ("unicorn", "hound", "Red_Bird", "cat")
    place = torch.tensor([3, 1, 2])
    samples = [sample(i, label_names=names) for i in range(4)]
    for s in samples:
        s["pred_instances"]["labels"] = place[s["pred_instances"]["labels"]]
    metric = DetectionAP()
    metric.set_labels(Vocabulary(names, synonyms={"hound": ["dog"]}))
    plain = score(DetectionAP(), [sample(i) for i in range(4)])
    assert score(metric, samples) == same(plain)
    for s in samples:
        s["pred_instances"]["labels"][0] = 0  # a good one, taken for a unicorn
    metric.results.clear()
    assert score(metric, samples)["AP"] < plain["AP"]


def test_classes_without_a_label_enter_no_mean():
    samples = [sample(i, labels=1, label_names=("red bird",)) for i in range(5)]
    for s in samples:
        s["pred_instances"]["labels"] = torch.zeros(8, dtype=torch.int64)
    got = score(DetectionAP(), samples)
    assert got["AP"] == got["novel_AP"] and np.isnan(got["base_AP"])


def test_lvis_rule(tmp_path):
    samples = [sample(i) for i in range(4)]
    truth, found = coco_files(samples)
    for category, frequency in zip(truth["categories"], "rcf"):
        category["frequency"] = frequency
    for image in truth["images"]:
        image |= {"neg_category_ids": [1], "not_exhaustive_category_ids": [2]}
    (tmp_path / "x.json").write_text(json.dumps(truth))
    got = score(DetectionAP(ann_file=str(tmp_path / "x.json"), rule="lvis"), samples)
    wanted = lvis_precision(truth, found, "bbox")
    for key, value in {**wanted.means(), **wanted.by_frequency()}.items():
        assert got[key] == pytest.approx(value, abs=0.006, nan_ok=True)
    with pytest.raises(ClipkitError, match="known: coco, lvis"):
        DetectionAP(rule="voc")


def test_images_without_detections_and_a_pipeline_without_truth():
    empty = sample(0)
    empty["pred_instances"] = {key: value[:0] for key, value in empty["pred_instances"].items()}
    assert score(DetectionAP(kinds=["bbox", "segm"]), [empty])["AP"] == 0
    del empty["instances"]
    with pytest.raises(ClipkitError, match="meta_keys"):
        score(DetectionAP(), [empty])


def test_masks_are_not_judged_without_masks_in_the_truth(tmp_path):
    samples = [sample(i) for i in range(3)]
    truth, _ = coco_files(samples)
    assert not any("segmentation" in item for item in truth["annotations"])
    (tmp_path / "x.json").write_text(json.dumps(truth))
    with pytest.raises(ClipkitError, match=rf"x\.json: {len(truth['annotations'])} annotations have no mask"):
        score(DetectionAP(ann_file=str(tmp_path / "x.json"), kinds=["bbox", "segm"]), samples)


def test_a_file_is_judged_as_the_data_set_reads_it(tmp_path):
    samples = [sample(i) for i in range(3)]
    truth, found = coco_files(samples)
    wanted = score(DetectionAP(), samples)
    area = truth["annotations"][0].pop("area")
    plain = {"image_id": 0, "category_id": truth["categories"][0]["id"], "area": 1.0}
    bad = [{"bbox": box} for box in (None, [1, 2], [5, 5, 0, 9], [500, 500, 9, 9])]
    bad += [{"bbox": [1, 1, 9, 9], key: 99} for key in ("image_id", "category_id")]
    truth["annotations"] += [{**plain, **more, "id": 900 + i} for i, more in enumerate(bad)]
    (tmp_path / "x.json").write_text(json.dumps(truth))
    assert score(DetectionAP(ann_file=str(tmp_path / "x.json")), samples) == same(wanted)
    assert np.isfinite(score(DetectionAP(ann_file=str(tmp_path / "x.json"), rule="lvis"), samples)["AP"])
    unknown = {**truth, "annotations": [*truth["annotations"][:-6], truth["annotations"][-1] | {"iscrowd": 0}]}
    unknown["annotations"][0] = {**unknown["annotations"][0], "area": area}
    assert np.isfinite(lvis_precision(unknown, found, "bbox").means()["AP"])
