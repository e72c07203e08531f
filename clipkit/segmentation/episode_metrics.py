"""mIoU and FB-IoU of few-shot segmentation."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from prettytable import PrettyTable

from clipkit.engine.registry import METRICS
from clipkit.errors import ClipkitError, some
from clipkit.evaluation import fewshot_scores, intersection_and_union


@METRICS.register_module()
class FewShotIoU(BaseMetric):
    """mIoU over the tested classes and FB-IoU of `EpisodeDataset`, see `clipkit.evaluation.fewshot.fewshot_scores`.

    Args:
        ignore_index: id of the masks that counts nowhere.
        per_class: print the table of all classes too; default: when there are at most 40.
        collect_device: `cpu` or `gpu`, where ranks exchange their counts.
    """

    default_prefix = ""  # None would warn at every start that there is none

    def __init__(self, ignore_index: int = 255, per_class: bool | None = None, collect_device: str = "cpu"):
        super().__init__(collect_device=collect_device)
        self.ignore_index, self.per_class = ignore_index, per_class

    def set_labels(self, vocabulary: Any) -> None:
        """Refused: `--labels` would change nothing, and stand beside the score.

        Raises:
            ClipkitError: always.
        """
        raise ClipkitError("the labels of episodes are their own classes: leave --labels out")

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Adds class, intersections and unions of a batch to `self.results`."""
        for sample in data_samples:
            prediction = sample["pred_sem_seg"]["data"].squeeze(0)
            target = sample["gt_sem_seg"]["data"].squeeze(0).to(prediction.device)
            hits, union = intersection_and_union(prediction, target, 2, self.ignore_index)
            self.results.append((sample["class_id"], hits.cpu(), union.cpu()))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Prints the table and returns mIoU and FB-IoU (percent)."""
        ids, hits, union = zip(*results)
        names, tested = self.dataset_meta["all_classes"], self.dataset_meta["tested"]
        scores = fewshot_scores(torch.tensor(ids), torch.stack(hits), torch.stack(union), tested)
        logger: Any = MMLogger.get_current_instance()
        table = PrettyTable(["class", "episodes", "IoU %"], align="l")
        if self.per_class if self.per_class is not None else len(tested) <= 40:
            for class_id, iou in zip(tested, scores["iou"].tolist()):
                table.add_row([names[class_id], ids.count(class_id), f"{iou:.1f}"])
        table.add_row(["mIoU", len(ids), f"{scores['mIoU']:.1f}"])
        table.add_row(["FB-IoU", "", f"{scores['FB-IoU']:.1f}"])
        print_log("\n" + table.get_string(), logger)
        absent = [names[c] for c in tested if c not in ids]
        if absent:
            print_log(f"not in the mean, for lack of an episode: {some(absent, 10)}", logger)
        return {key: round(float(scores[key]), 2) for key in ("mIoU", "FB-IoU")}
