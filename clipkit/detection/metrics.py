"""AP of base and novel classes, also for labels that were replaced at test time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from prettytable import PrettyTable

from clipkit.data.annotations import judged_annotations, mask_problem, read_coco_file
from clipkit.data.coco_results import as_coco_results
from clipkit.data.pairs import Problems
from clipkit.engine.registry import METRICS
from clipkit.errors import ClipkitError, some
from clipkit.evaluation import ClassPrecision, coco_precision, lvis_fixed_precision, lvis_precision
from clipkit.files import write_text
from clipkit.text import Vocabulary

RULES = {"coco": coco_precision, "lvis": lvis_precision, "lvis_fixed": lvis_fixed_precision}


@METRICS.register_module()
class DetectionAP(BaseMetric):
    """AP and AP50 of all classes, of base and of novel ones, in percent; for LVIS also of rare, common and frequent.

    Not mmdet's `OVCocoMetric`: that one groups by the order of the file's categories while pycocotools sorts them by
    id, takes every class for novel where none is, counts 1000 detections an image and class, and lets masks overwrite
    boxes. Where none of this matters the numbers are equal.

    A sample says its labels in the metainfo `label_names`; `set_labels` adds synonyms. Labels that no class has are
    distractors: they compete, and what they take is lost. Classes without a label are left out of all means.

    Args:
        ann_file: the annotations in COCO's or LVIS's format, without those whose box the data set refuses; None: those
            that the data set gave (`instances` among the pipeline's `meta_keys`).
        kinds: 'bbox', 'segm', or both; names of the second kind's scores begin with it (`segm_`), the first's with
            nothing.
        rule: 'coco'; 'lvis': the best 300 of an image count; 'lvis_fixed': the best 10,000 of a class in all images.
        save: a file for the detections in COCO's result format.
        **kwargs: of mmengine's `BaseMetric`.
    """

    default_prefix = ""

    def __init__(
        self,
        ann_file: str | None = None,
        kinds: str | Sequence[str] = "bbox",
        rule: str = "coco",
        save: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if rule not in RULES:
            raise ClipkitError(f"DetectionAP: rule '{rule}' is unknown; known: {', '.join(RULES)}")
        self.ann_file, self.rule, self.save = ann_file, rule, save
        self.kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        self._vocabulary: Vocabulary | None = None

    def set_labels(self, vocabulary: Vocabulary) -> None:
        """Labels that replace the data set's classes, with their synonyms; predictions are indices into them."""
        self._vocabulary = vocabulary

    # ---- a batch ----------------------------------------------------------------------------------------------------

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keeps (truth, detections) of each image as plain Python."""
        for sample in data_samples:
            found = sample["pred_instances"]
            image = {"id": sample["img_id"], "height": sample["ori_shape"][0], "width": sample["ori_shape"][1]}
            names = tuple(sample.get("label_names") or self.dataset_meta["classes"])
            if self.ann_file is None and "instances" not in sample:
                raise ClipkitError("DetectionAP needs ann_file=, or 'instances' among the meta_keys of PackDetInputs")
            truth = () if self.ann_file is not None else sample["instances"]
            self.results.append((image, names, truth, as_coco_results(found)))

    # ---- the whole --------------------------------------------------------------------------------------------------

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Prints a table and returns AP, AP50, …, base_AP, base_AP50, novel_AP, novel_AP50."""
        classes = list(self.dataset_meta["classes"])
        truth = self._read_truth(self.ann_file) if self.ann_file is not None else self._truth(results, classes)
        ids = self._category_ids(truth, classes)
        label_classes: dict[tuple, list[int]] = {}
        detections: list[dict] = []
        for image, names, _, found in results:
            if names not in label_classes:
                label_classes[names] = self._match(names, classes)
            to_class = label_classes[names]
            for item in found:
                label = to_class[item.pop("label")]
                if label >= 0 and ids[label] is not None:
                    detections.append({"image_id": image["id"], "category_id": ids[label], **item})
        if self.save is not None:
            Path(self.save).parent.mkdir(parents=True, exist_ok=True)
            write_text(self.save, json.dumps(detections))
        if "segm" in self.kinds:
            self._require_masks(truth)
        asked = {classes[i] for to_class in label_classes.values() for i in to_class if i >= 0}
        out: dict[str, float] = {}
        for kind in self.kinds:
            scored = RULES[self.rule](truth, detections, kind)
            names = [classes[ids.index(c["id"])] if c["id"] in ids else "" for c in truth["categories"]]
            scored = ClassPrecision(tuple(names), _only(scored.precision, names, asked), scored.frequency)
            prefix = "" if kind == self.kinds[0] else f"{kind}_"
            out.update({f"{prefix}{key}": round(value, 2) for key, value in self._scores(scored).items()})
        self._print(out)
        return out

    def _require_masks(self, truth: dict) -> None:
        where = self.ann_file or "DetectionAP: the data set"
        if bare := sum(not item.get("segmentation") for item in truth["annotations"]):
            raise ClipkitError(f"{where}: {bare} annotations have no mask; judge boxes alone by kinds='bbox'")
        if self.ann_file is None:
            return  # those that the data set looked through
        sizes = {image["id"]: (image.get("width"), image.get("height")) for image in truth["images"]}
        wrong = Problems()
        for item in truth["annotations"]:
            if kind := mask_problem(item.get("segmentation"), *sizes[item["image_id"]]):
                wrong.add(kind, f"annotation {item.get('id')}")
        if wrong:
            raise ClipkitError(f"{where}: {wrong.summary()}; judge boxes alone by kinds='bbox'")

    def _scores(self, scored: ClassPrecision) -> dict[str, float]:
        scores = scored.means()
        base, novel = (self.dataset_meta.get(key) or () for key in ("base_classes", "novel_classes"))
        if base and novel:
            scores |= scored.groups(base=base, novel=novel)
        return scores | (scored.by_frequency() if self.rule.startswith("lvis") else {})

    def _match(self, names: Sequence[str], classes: Sequence[str]) -> list[int]:
        """Label index -> class index, -1 for a distractor and for background."""
        vocabulary = self._vocabulary if self._vocabulary is not None else Vocabulary(names)
        match = vocabulary.match(classes)
        if match.distractors or match.ignored:
            print_log(match.summary(), MMLogger.get_current_instance())
        return [*match.label_to_class, *[-1] * (len(names) - len(vocabulary))]

    def _category_ids(self, truth: dict, classes: Sequence[str]) -> list[Any]:
        """The id of each class in the annotation file; None for one that it lacks."""
        if self.ann_file is None:
            return list(range(1, len(classes) + 1))
        categories = [str(c["name"]) for c in truth["categories"]]
        owner = Vocabulary(classes).match(categories).label_to_class
        lacking = [name for name, index in zip(classes, owner) if index < 0]
        if len(lacking) == len(classes):
            raise ClipkitError(f"{self.ann_file}: has no category {some(lacking, 5)}")
        if lacking:
            line = f"{self.ann_file}: has no category {', '.join(lacking)}: evaluated without"
            print_log(line, MMLogger.get_current_instance())
        return [truth["categories"][index]["id"] if index >= 0 else None for index in owner]

    @staticmethod
    def _read_truth(path: str) -> dict:
        """The file, as pycocotools can take it."""
        truth = read_coco_file(path)
        kept, refused, without = judged_annotations(truth)
        if refused or without:
            line = f"{path}: {refused} annotations without a usable box are not judged; {without} had no area, theirs "
            print_log(line + "is that of the box", MMLogger.get_current_instance())
        return {**truth, "annotations": kept}

    @staticmethod
    def _truth(results: list, classes: Sequence[str]) -> dict:
        """The data set's objects as a COCO file."""
        annotations: list[dict] = []
        for image, _, instances, _ in results:
            for item in instances:
                x1, y1, x2, y2 = item["bbox"]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image["id"],
                        "category_id": item["bbox_label"] + 1,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": (x2 - x1) * (y2 - y1),
                        "iscrowd": int(item.get("ignore_flag", 0)),
                        "segmentation": item.get("mask"),
                    }
                )
        categories = [{"id": i, "name": name} for i, name in enumerate(classes, 1)]
        return {"images": [image for image, *_ in results], "annotations": annotations, "categories": categories}

    def _print(self, scores: dict[str, float]) -> None:
        table = PrettyTable(["", "AP", "AP50"], align="l")
        for row in ("", "base_", "novel_"):
            if f"{row}AP" in scores:
                table.add_row([row[:-1] or "all", f"{scores[f'{row}AP']:.1f}", f"{scores[f'{row}AP50']:.1f}"])
        print_log("\n" + table.get_string(), MMLogger.get_current_instance())


def _only(precision: np.ndarray, names: Sequence[str], asked: set[str]) -> np.ndarray:
    """NaN, which enters no mean, for classes that no label stands for."""
    out = precision.copy()
    out[[name not in asked for name in names]] = np.nan
    return out
