"""Average precision of boxes and masks a class, by pycocotools' matching, for COCO's and LVIS's rules."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SIZES = ("all", "small", "medium", "large")  # in pycocotools' order


@dataclass(frozen=True)
class ClassPrecision:
    """Average precision of `K` classes in percent, NaN for a class without ground truth.

    Attributes:
        names: in the order of the truth's categories.
        precision: `(K, T, R, 4)` at 10 IoU thresholds (0.5 to 0.95), 101 recalls, and the sizes all, small, medium,
            large (under 32² and under 96² pixels, and above).
        frequency: LVIS's 'r', 'c', 'f' of each class, or ''.
    """

    names: tuple[str, ...]
    precision: np.ndarray
    frequency: tuple[str, ...]

    @property
    def ap(self) -> np.ndarray:
        """`(K,)`, the mean over IoU thresholds."""
        return self.precision[..., 0].mean((1, 2))

    @property
    def ap50(self) -> np.ndarray:
        """`(K,)` at IoU 0.5."""
        return self.precision[:, 0, :, 0].mean(1)

    def means(self, chosen: Sequence[bool] | np.ndarray | None = None) -> dict[str, float]:
        """AP, AP50, AP75, APs, APm, APl over the chosen classes that have ground truth (of that size); NaN for none."""
        part = self.precision if chosen is None else self.precision[np.asarray(chosen, dtype=bool)]
        chosen_values = {"AP": part[..., 0], "AP50": part[:, 0, :, 0], "AP75": part[:, 5, :, 0]}
        chosen_values |= {f"AP{SIZES[i][0]}": part[..., i] for i in (1, 2, 3)}
        return {key: _mean(values) for key, values in chosen_values.items()}

    def groups(self, **groups: Iterable[str]) -> dict[str, float]:
        """`{'base_AP': …, 'base_AP50': …}` for groups of class names; all competed (generalised setting)."""
        out = {}
        for group, names in groups.items():
            wanted = set(names)
            means = self.means([name in wanted for name in self.names])
            out.update({f"{group}_{key}": means[key] for key in ("AP", "AP50")})
        return out

    def by_frequency(self) -> dict[str, float]:
        """LVIS's APr, APc, APf."""
        return {f"AP{f}": self.means([g == f for g in self.frequency])["AP"] for f in "rcf"}


def coco_precision(
    truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], kind: str = "bbox", max_detections: int = 100
) -> ClassPrecision:
    """COCO's average precision: `cocoeval`'s numbers, class by class.

    Args:
        truth: a COCO annotation file as a dict (`images`, `annotations`, `categories`). Left unchanged.
        detections: `image_id`, `category_id`, `score`, and `bbox` (x, y, w, h) or `segmentation` (RLE).
        kind: 'bbox' or 'segm'.
        max_detections: the best so many of an image *and class* count.

    Raises:
        ValueError: a detection names an image or a category that the truth lacks.
    """
    judge = _Judge(truth, detections, kind)
    every = [image["id"] for image in truth["images"]]
    return judge.result({c: judge.precision(c, every, max_detections) for c in judge.categories})


def lvis_precision(
    truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], kind: str = "segm", max_detections: int = 300
) -> ClassPrecision:
    """LVIS's average precision (Gupta et al., CVPR 2019, section 2.3), without the lvis package.

    A class is judged only in images where it is known to be present or absent (`neg_category_ids`); where it is not
    annotated exhaustively (`not_exhaustive_category_ids`) a detection without a partner is no error.

    Args:
        truth, detections, kind: see `coco_precision`.
        max_detections: the best so many of an image, all classes together, count.
    """
    return _lvis(truth, _best_of(detections, "image_id", max_detections), kind)


def lvis_fixed_precision(
    truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], kind: str = "bbox", max_detections: int = 10_000
) -> ClassPrecision:
    """LVIS's fixed average precision (Dave et al., "Evaluating Large-Vocabulary Object Detectors: The Devil is in the
    Details", 2021, arXiv:2102.01066): as `lvis_precision`, but classes do not compete for places in an image.

    Args:
        truth, detections, kind: see `coco_precision`.
        max_detections: the best so many of a *class*, all images together, count.
    """
    return _lvis(truth, _best_of(detections, "category_id", max_detections), kind)


def _lvis(truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], kind: str) -> ClassPrecision:
    judge = _Judge(truth, detections, kind)
    known: dict[int, set] = {c: set() for c in judge.categories}
    for annotation in truth["annotations"]:
        if annotation["category_id"] in known:
            known[annotation["category_id"]].add(annotation["image_id"])
    partial: dict[int, set] = {c: set() for c in judge.categories}
    for image in truth["images"]:
        for c in known.keys() & set(image.get("neg_category_ids", ())):
            known[c].add(image["id"])
        for c in partial.keys() & set(image.get("not_exhaustive_category_ids", ())):
            partial[c].add(image["id"])
    most = max(len(detections), 1)
    return judge.result({c: judge.precision(c, sorted(known[c]), most, partial[c]) for c in judge.categories})


class _Judge:
    """pycocotools' evaluation of one class at a time, in the images where it is judged."""

    def __init__(self, truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], kind: str) -> None:
        if kind not in ("bbox", "segm"):
            raise ValueError(f"kind is {kind!r}, known: bbox, segm")
        self.kind, self.truth = kind, truth
        self.categories = {category["id"]: category for category in truth["categories"]}
        images = {image["id"] for image in truth["images"]}
        for detection in detections:
            if detection["image_id"] not in images or detection["category_id"] not in self.categories:
                raise ValueError(
                    f"a detection is of image {detection['image_id']!r}, category {detection['category_id']!r}, "
                    "which the annotations lack"
                )
        # Numbered from 1: to pycocotools a match with the annotation 0 is no match. LVIS has no crowds.
        annotations = [{"iscrowd": 0, **a, "id": i} for i, a in enumerate(truth["annotations"], 1)]
        self.gt = _coco(truth, annotations)
        keep = ("image_id", "category_id", "score", "bbox" if kind == "bbox" else "segmentation")
        found = [{key: d[key] for key in keep} for d in detections]
        with contextlib.redirect_stdout(io.StringIO()):
            self.dt = self.gt.loadRes(found) if found else _coco(truth, [])

    def precision(self, category: int, images: list, max_detections: int, partial: Iterable = ()) -> np.ndarray:
        """`(T, R, 4)`, -1 without ground truth."""
        from pycocotools.cocoeval import COCOeval

        evaluator = COCOeval(None, None, self.kind)
        evaluator.cocoGt, evaluator.cocoDt = self.gt, self.dt
        evaluator.params.imgIds, evaluator.params.catIds = images, [category]
        evaluator.params.maxDets = [max_detections]
        if not images:
            return -np.ones((10, 101, len(SIZES)))
        with contextlib.redirect_stdout(io.StringIO()):
            evaluator.evaluate()
            for found in evaluator.evalImgs:
                if found is not None and found["image_id"] in partial:
                    found["dtIgnore"] |= found["dtMatches"] == 0
            evaluator.accumulate()
        return evaluator.eval["precision"][:, :, 0, :, 0]

    def result(self, precision: Mapping[int, np.ndarray]) -> ClassPrecision:
        stacked = np.stack([precision[c] for c in self.categories])
        return ClassPrecision(
            names=tuple(str(category["name"]) for category in self.categories.values()),
            precision=100 * np.where(stacked < 0, np.nan, stacked),
            frequency=tuple(str(category.get("frequency", "")) for category in self.categories.values()),
        )


def _coco(truth: Mapping[str, Any], annotations: list[dict]) -> Any:
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {"images": truth["images"], "categories": truth["categories"], "annotations": annotations}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _best_of(detections: Sequence[Mapping[str, Any]], key: str, count: int) -> list[Mapping[str, Any]]:
    """The best `count` of each image, or of each class."""
    groups: dict[Any, list] = {}
    for detection in detections:
        groups.setdefault(detection[key], []).append(detection)
    return [d for group in groups.values() for d in sorted(group, key=lambda d: -d["score"])[:count]]


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
