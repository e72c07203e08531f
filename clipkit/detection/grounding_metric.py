"""Whether the boxes of a phrase are where it says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torchvision.ops import box_iou

from clipkit.engine.registry import METRICS
from clipkit.errors import ClipkitError


@METRICS.register_module()
class PhraseRecall(BaseMetric):
    """R@k: share of the phrases, in percent, of whose k best boxes one has an IoU of at least `iou` with one of the
    phrase's boxes ("any box", as GLIP and MDETR report Flickr30k Entities). Phrases that the data set counts as base or
    novel names are also counted apart: `base_R@1`, `novel_R@1`.

    `twin`: of the phrases with `phrase_twins`, boxes that the phrase is not true of, the share whose best box is there.

    A sample's metainfo has `prompts`, `phrase_truth` (of each prompt, of each phrase: boxes in pixels of the original)
    and, from the model, `phrase_boxes` of the same form.

    Args:
        best: the numbers k.
        iou: see above.
    """

    default_prefix = "phrase"

    def __init__(self, best: Sequence[int] = (1, 5, 10), iou: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        self.best, self.iou = tuple(best), iou

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keeps of each phrase its words and the place of its first box that is right."""
        for sample in data_samples:
            if not {"prompts", "phrase_truth", "phrase_boxes"} <= set(sample):
                raise ClipkitError(
                    "PhraseRecall needs 'prompts' and 'phrase_truth' among the meta_keys of PackDetInputs, and a model "
                    "that answers prompts"
                )
            twins = sample.get("phrase_twins") or [[[]] * len(prompt.spans) for prompt in sample["prompts"]]
            rows = zip(sample["prompts"], sample["phrase_truth"], sample["phrase_boxes"], twins)
            for prompt, truth, found, others in rows:
                for phrase, boxes, guesses, other in zip(prompt.phrases, truth, found, others):
                    if boxes:
                        taken = float(self._first(guesses, other) == 0) if other else np.nan
                        self.results.append((phrase, self._first(guesses, boxes), taken))

    def _first(self, guesses: torch.Tensor, boxes: list) -> float:
        """Place of the first guess that is on one of the boxes."""
        right = (box_iou(guesses, torch.tensor(boxes, dtype=guesses.dtype)) >= self.iou).any(1)
        return int(right.int().argmax()) if right.any() else np.inf

    def compute_metrics(self, results: list) -> dict[str, float]:
        """`R@1`, …, `base_R@1`, …, `novel_R@1`, …"""
        place, taken = (np.array([row[i] for row in results]) for i in (1, 2))
        groups = {"": np.ones(len(results), dtype=bool)}
        for name in ("base", "novel"):
            members = set(self.dataset_meta.get(f"{name}_classes") or ())
            groups[f"{name}_"] = np.array([row[0] in members for row in results], dtype=bool)
        scores = {
            f"{group}R@{k}": _percent(place[rows] < k)
            for group, rows in groups.items()
            if rows.any()
            for k in self.best
        }
        asked = ~np.isnan(taken)
        if asked.any():
            scores |= {"relation_R@1": _percent(place[asked] < 1), "twin": _percent(taken[asked] == 1)}
        return scores


def _percent(hits: np.ndarray) -> float:
    return round(100 * float(hits.mean()), 2)
