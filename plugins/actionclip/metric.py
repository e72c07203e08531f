"""Top-1 and top-5 of actions, also for labels that were replaced at test time."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log

from clipkit.engine.registry import METRICS
from clipkit.evaluation.classification import classification_scores
from clipkit.text import Vocabulary


@METRICS.register_module()
class ActionAccuracy(BaseMetric):
    """`top1`, `top5` and the mean over the classes of `top1`, in percent of all videos: one that cannot be read counts
    as wrong and is told. `unseen_top1` and the like are those of a model's `wordings`, `TASK_top1` those
    of the samples that say a `task`.

    Labels that replace the classes are matched to them by name or synonym; the others are distractors, never right.
    """

    default_prefix = ""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._vocabulary: Vocabulary | None = None

    def set_labels(self, vocabulary: Vocabulary) -> None:
        """Labels that replace the data set's classes; scores are over them."""
        self._vocabulary = vocabulary

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the best five guesses of a batch."""
        for sample in data_samples:
            best = sample["scores"].topk(min(5, len(sample["scores"]))).indices
            readable = bool(sample.get("readable", True))
            other = {key: int(value.argmax()) for key, value in sample.items() if key.startswith("scores_")}
            if not readable:
                best, other = torch.full_like(best, -1), dict.fromkeys(other, -1)
            self.results.append((best, int(sample["label"]), readable, other, sample.get("task")))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The scores of all videos."""
        ranked, labels, readable, others, tasks = zip(*results)
        guesses, classes = torch.stack(ranked), self.dataset_meta["classes"]
        if self._vocabulary is not None:
            match = self._vocabulary.match(list(classes))
            to_class = torch.tensor([*match.label_to_class, -1])  # -1 stays -1
            guesses = to_class[guesses]
            if match.distractors or match.ignored:
                print_log(match.summary(), MMLogger.get_current_instance())
        scores = classification_scores(guesses, torch.tensor(labels), len(classes))
        lost = len(readable) - sum(readable)
        if lost:
            print_log(f"{lost} of {len(readable)} videos could not be read and count as wrong", "current")
        out = {"top1": scores.top1, "top5": scores.topk, "mean_class": scores.mean_per_class, "videos": len(results)}
        for key in others[0]:
            right = sum(guess[key] == label for guess, label in zip(others, labels))
            out[f"{key.removeprefix('scores_')}_top1"] = 100 * right / len(labels)
        for task in dict.fromkeys(task for task in tasks if task is not None):
            own = [int(guess[0]) == label for guess, label, its in zip(guesses, labels, tasks) if its == task]
            out[f"{task}_top1"] = 100 * sum(own) / len(own)
        return out
