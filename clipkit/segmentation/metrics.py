"""IoU over seen and unseen classes, also for labels that were replaced at test time."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.logging import MMLogger, print_log
from mmseg.evaluation import IoUMetric
from prettytable import PrettyTable

from clipkit.engine.registry import METRICS
from clipkit.errors import some
from clipkit.evaluation.segmentation import ignore_left_out, iou_per_class, map_labels, seen_unseen_iou
from clipkit.text import Vocabulary


@METRICS.register_module()
class SeenUnseenIoU(IoUMetric):
    """mmseg's IoU, with labels matched to the data set's classes by name or synonym.

    A sample says its labels in the metainfo `label_names`; `set_labels` adds synonyms. Labels that no class has are
    distractors: predicted, they are an error and enlarge no class. Classes without a label are left out: their
    pixels are ignored and they enter no mean. All labels compete (generalised evaluation).

    Args:
        seen: names of the seen classes; default: the data set's metainfo `seen` (a flag a class), or all classes.
        per_class: print the table of all classes too; default: when there are at most 40.
        **kwargs: of mmseg's `IoUMetric`.
    """

    default_prefix = ""  # None would warn at every start that there is none

    def __init__(self, seen: Sequence[str] | None = None, per_class: bool | None = None, **kwargs):
        super().__init__(**kwargs)
        self.seen = None if seen is None else list(seen)
        self.per_class = per_class
        self._vocabulary: Vocabulary | None = None
        self._matched_for: tuple | None = None
        self._to_class: tuple[int, ...] | None = None

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Adds intersections and unions of a batch to `self.results`."""
        count = len(self.dataset_meta["classes"])
        for sample in data_samples:
            prediction = sample["pred_sem_seg"]["data"].squeeze(0)
            target = sample["gt_sem_seg"]["data"].squeeze(0).to(prediction.device)
            to_class = self._match(sample)
            if to_class is not None:
                prediction = map_labels(prediction, to_class, count)
                target = ignore_left_out(target, to_class, count, self.ignore_index)
            self.results.append(self.intersect_and_union(prediction, target, count, self.ignore_index))

    def set_labels(self, vocabulary: Vocabulary) -> None:
        """Labels that replace the data set's classes, with their synonyms; predictions are indices into them."""
        self._vocabulary = vocabulary

    def _match(self, sample: dict) -> tuple[int, ...] | None:
        """Label index -> class id, -1 for a distractor; None when the labels are the classes themselves."""
        names = sample.get("label_names")
        if names is None and self._vocabulary is None:
            return None
        if self._to_class is None or self._matched_for != (names, self._vocabulary):
            vocabulary = self._vocabulary or Vocabulary(list(names or ()))
            if names is not None and len(names) > len(vocabulary):
                # A background policy adds a last label: the data set's background if it has one, else no class.
                vocabulary = Vocabulary([*vocabulary.names, names[-1]], [*vocabulary.synonyms, ()])
            match = vocabulary.match(list(self.dataset_meta["classes"]))
            self._to_class, self._matched_for = match.label_to_class, (names, self._vocabulary)
            if match.distractors or match.ignored:
                print_log(match.summary(), MMLogger.get_current_instance())
        return self._to_class

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Prints the table and returns mIoU and aAcc (percent); and seen, unseen, harmonic_mean where classes of both
        kinds are scored."""
        hits, union, _, label_area = (torch.stack(list(column)).double().sum(0) for column in zip(*results))
        names = list(self.dataset_meta["classes"])
        iou = iou_per_class(hits, union)
        # What no mask shows cannot be got right: a class counts only where the data set holds it.
        iou[label_area == 0] = torch.nan
        seen = self._seen_mask(names)
        scores = seen_unseen_iou(iou, seen)
        self._print(names, iou, seen, scores)
        out = {"mIoU": scores["all"], "aAcc": float(100 * hits.sum() / label_area.sum().clamp(min=1))}
        if _on_both_sides(iou, seen):
            out.update({key: scores[key] for key in ("seen", "unseen", "harmonic_mean")})
        return {key: round(value, 2) for key, value in out.items()}

    def _seen_mask(self, names: list[str]) -> torch.Tensor:
        if self.seen is not None:
            unknown = [name for name in self.seen if name not in names]
            if unknown:
                raise ValueError(f"SeenUnseenIoU: seen holds {some(unknown)}, which the data set's classes lack")
            return torch.tensor([name in set(self.seen) for name in names])
        return torch.tensor(self.dataset_meta.get("seen") or [True] * len(names), dtype=torch.bool)

    def _print(self, names: list[str], iou: torch.Tensor, seen: torch.Tensor, scores: dict[str, float]) -> None:
        logger: Any = MMLogger.get_current_instance()
        counted = ~iou.isnan()
        if self.per_class if self.per_class is not None else int(counted.sum()) <= 40:
            table = PrettyTable(["class", "in training", "IoU %"], align="l")
            for name, value, is_seen in zip(names, iou.tolist(), seen.tolist()):
                if value == value:
                    table.add_row([name, "seen" if is_seen else "unseen", f"{value:.1f}"])
            print_log("\n" + table.get_string(), logger)
        table = PrettyTable(["", "classes", "mIoU %"], align="l")
        if _on_both_sides(iou, seen):
            table.add_row(["seen", int((counted & seen).sum()), f"{scores['seen']:.1f}"])
            table.add_row(["unseen", int((counted & ~seen).sum()), f"{scores['unseen']:.1f}"])
            table.add_row(["harmonic mean", "", f"{scores['harmonic_mean']:.1f}"])
        table.add_row(["all", int(counted.sum()), f"{scores['all']:.1f}"])
        print_log("\n" + table.get_string(), logger)


def _on_both_sides(iou: torch.Tensor, seen: torch.Tensor) -> bool:
    counted = ~iou.isnan()
    return bool((counted & seen).any() and (counted & ~seen).any())
