"""Average precision against pycocotools' own totals, against numbers of the lvis package, and by hand."""

import contextlib
import copy
import io
import math
import random

import numpy as np
import pytest

pytest.importorskip("pycocotools")

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from clipkit.evaluation import coco_precision, lvis_fixed_precision, lvis_precision


def world(seed, images=12, classes=5):
    """Ground truth with crowds, sizes of all kinds and a class without any; detections near the truth and wild ones.
    Also what LVIS knows: absent classes, classes that are not annotated exhaustively, frequencies."""
    r = random.Random(seed)

    def box():
        side = 2 ** r.uniform(2, 7.5)
        return [r.uniform(0, 200), r.uniform(0, 200), side, side * r.uniform(0.5, 2)]

    def corners(b):
        x, y, w, h = b
        return [[x, y, x + w, y, x + w, y + h, x, y + h]]

    truth = {"images": [], "annotations": [], "categories": []}
    ids = r.sample(range(1, 40), classes)  # neither sorted nor without gaps
    for i, c in enumerate(ids):
        truth["categories"].append({"id": c, "name": f"class {c}", "frequency": "rcf"[i % 3]})
    found = []
    for image in range(1, images + 1):
        present = r.sample(ids[:-1], r.randint(0, classes - 1))  # the last class never is
        others = [c for c in ids if c not in present]
        truth["images"].append(
            {
                "id": image, "width": 400, "height": 400,
                "neg_category_ids": r.sample(others, r.randint(0, len(others))),
                "not_exhaustive_category_ids": r.sample(present, r.randint(0, len(present))),
            }
        )  # fmt: skip
        for c in present:
            for _ in range(r.randint(1, 3)):
                b = box()
                truth["annotations"].append(
                    {
                        "id": len(truth["annotations"]), "image_id": image, "category_id": c, "bbox": b,
                        "area": b[2] * b[3], "segmentation": corners(b),
                    }
                )  # fmt: skip
                for _ in range(r.randint(0, 2)):
                    near = [v + r.gauss(0, 0.08) * b[2] for v in b]
                    label = c if r.random() < 0.8 else r.choice(ids)
                    found.append({"image_id": image, "category_id": label, "bbox": near, "score": round(r.random(), 2)})
        found += [
            {"image_id": image, "category_id": r.choice(ids), "bbox": box(), "score": r.random()}
            for _ in range(r.randint(0, 6))
        ]
    return truth, found


def pycocotools_stats(truth, found):
    """`COCOeval.summarize` on the whole, as everybody calls it; annotation ids from 1, as it needs them."""
    gt = COCO()
    gt.dataset = copy.deepcopy(truth)
    for annotation in gt.dataset["annotations"]:
        annotation["id"] += 1
        annotation.setdefault("iscrowd", 0)
    with contextlib.redirect_stdout(io.StringIO()):
        gt.createIndex()
        evaluator = COCOeval(gt, gt.loadRes(copy.deepcopy(found)), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return 100 * evaluator.stats[:6]


@pytest.mark.parametrize("seed", range(4))
def test_coco_numbers_are_pycocotools(seed):
    truth, found = world(seed)
    for annotation in truth["annotations"][::7]:
        annotation["iscrowd"] = 1
    before = copy.deepcopy((truth, found))
    means = coco_precision(truth, found).means()
    assert list(means.values()) == pytest.approx(list(pycocotools_stats(truth, found)), abs=1e-9, nan_ok=True)
    assert (truth, found) == before


def test_groups_are_the_numbers_of_their_classes_alone():
    truth, found = world(5)
    names = [c["name"] for c in truth["categories"]]
    got = coco_precision(truth, found).groups(base=names[1:3], novel=[names[0]], none=[])
    for group, members in (("base", names[1:3]), ("novel", [names[0]])):
        ids = {c["id"] for c in truth["categories"] if c["name"] in members}
        part = {**truth, "categories": [c for c in truth["categories"] if c["id"] in ids]}
        part["annotations"] = [
            {**a, "id": i} for i, a in enumerate(a for a in truth["annotations"] if a["category_id"] in ids)
        ]
        stats = pycocotools_stats(part, [d for d in found if d["category_id"] in ids])
        assert [got[f"{group}_AP"], got[f"{group}_AP50"]] == pytest.approx(list(stats[:2]))
    assert math.isnan(got["none_AP"])


def test_a_class_without_truth_counts_in_no_mean():
    truth, found = world(6)
    result = coco_precision(truth, found)
    assert np.isnan(result.ap[-1]) and not np.isnan(result.ap[:-1]).any()
    assert result.means()["AP"] == pytest.approx(result.ap[:-1].mean())


def test_annotation_number_zero_can_be_matched():
    truth = {"images": [{"id": 7}], "categories": [{"id": 0, "name": "cat"}], "annotations": []}
    truth["annotations"].append({"id": 0, "image_id": 7, "category_id": 0, "bbox": [0, 0, 9, 9], "area": 81})
    found = [{"image_id": 7, "category_id": 0, "bbox": [0, 0, 9, 9], "score": 1.0}]
    assert coco_precision(truth, found).means()["AP"] == pytest.approx(100)
    assert coco_precision(truth, []).means()["AP"] == 0


# What lvis 0.5.3 prints for `world(seed)` (numpy 2 lacks its `np.float`, which is `float`): AP, AP50, APs, APm, APl,
# APr, APc, APf.
LVIS_NUMBERS = {
    (0, "bbox"): [21.537188, 35.995990, 28.468480, 11.287129, 28.700141, 17.795030, 31.020147, 19.538543],
    (0, "segm"): [21.481751, 35.995990, 28.041117, 11.287129, 29.233145, 16.896979, 34.656137, 17.476908],
    (1, "bbox"): [16.395418, 35.634122, 12.465229, 23.367908, 32.045792, 9.650480, 33.999984, 12.280728],
    (1, "segm"): [17.217022, 35.634122, 13.466378, 23.177746, 32.045792, 11.293688, 33.999984, 12.280728],
    (2, "bbox"): [25.427978, 46.419142, 29.895981, 42.816282, 12.500000, 19.303503, 22.574257, 40.530646],
    (2, "segm"): [25.921171, 39.575083, 30.176214, 42.244224, 15.000000, 17.539477, 23.762376, 44.843352],
}


def lvis_row(result):
    means = result.means()
    return [means["AP"], means["AP50"], means["APs"], means["APm"], means["APl"], *result.by_frequency().values()]


@pytest.mark.parametrize("key", LVIS_NUMBERS)
def test_lvis_numbers_are_those_of_the_lvis_package(key):
    seed, kind = key
    truth, found = world(seed)
    assert lvis_row(lvis_precision(truth, with_masks(truth, found), kind)) == pytest.approx(
        LVIS_NUMBERS[key], abs=1e-6, nan_ok=True
    )


def with_masks(truth, found):
    """The same detections with the mask of their boxes."""
    from pycocotools import mask

    out = []
    for d in found:
        x, y, w, h = d["bbox"]
        rle = mask.merge(mask.frPyObjects([[x, y, x + w, y, x + w, y + h, x, y + h]], 400, 400))
        out.append({**d, "segmentation": rle})
    return out


def test_only_the_best_of_an_image_count_in_lvis():
    truth, found = world(3)
    few = lvis_precision(truth, found, "bbox", max_detections=2).means()["AP"]
    assert 0 < few < lvis_precision(truth, found, "bbox").means()["AP"]


def test_fixed_ap_takes_the_best_of_a_class_in_all_images():
    """Two images, a cat in each. The best two cats of the set are a wrong box and the first cat: precision 1/2 up to
    recall 1/2, 51 of 101 points. Three dogs of the first image, each better than its cat, take no place from it; the
    class of the dogs is known to be absent there, so each is an error of its own class, which has no truth."""
    truth = {
        "images": [{"id": 1, "neg_category_ids": [2]}, {"id": 2}],
        "categories": [{"id": 1, "name": "cat", "frequency": "r"}, {"id": 2, "name": "dog", "frequency": "f"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [0, 0, 50, 50], "area": 2500} for i in (1, 2)
        ],
    }
    here, away = [0, 0, 50, 50], [60, 60, 9, 9]
    cats = [(2, away, 0.9), (1, here, 0.5), (2, here, 0.4)]
    found = [{"image_id": i, "category_id": 1, "bbox": box, "score": score} for i, box, score in cats]
    found += [{"image_id": 1, "category_id": 2, "bbox": away, "score": score} for score in (0.8, 0.7, 0.6)]
    before = copy.deepcopy(found)
    assert lvis_fixed_precision(truth, found, max_detections=2).means()["AP"] == pytest.approx(100 * 51 / 101 / 2)
    # With the third the precision at recall 1 is 2/3, and it is the best from there down.
    assert lvis_fixed_precision(truth, found).means()["AP"] == pytest.approx(100 * 2 / 3)
    assert lvis_precision(truth, found, "bbox", max_detections=3).means()["AP"] == pytest.approx(100 * 51 / 101 / 2)
    assert found == before
    assert math.isnan(lvis_fixed_precision(truth, found).by_frequency()["APf"])


@pytest.mark.parametrize("seed", range(2))
def test_fixed_ap_without_a_limit_is_lvis_without_one(seed):
    truth, found = world(seed)
    fixed = lvis_fixed_precision(truth, found)
    assert np.array_equal(
        fixed.precision, lvis_precision(truth, found, "bbox", max_detections=10_000).precision, equal_nan=True
    )


def test_a_detection_of_an_unknown_image_is_named():
    truth, _ = world(0)
    with pytest.raises(ValueError, match="image 99"):
        coco_precision(truth, [{"image_id": 99, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1.0}])
