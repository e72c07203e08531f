"""Accuracy of clouds: of the prediction, of each part of the model, and of each view alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MMLogger, print_log

from clipkit.data.class_counts import class_counts
from clipkit.engine.registry import HOOKS, METRICS
from clipkit.evaluation.classification import classification_scores


@METRICS.register_module()
class CloudAccuracy(BaseMetric):
    """In percent: `top1`, `mean_class`; `zero-shot`, `weighted`, `adapter`, `network`, as far as the model has them;
    `front`, the first view alone without training. The log has all views and the classes."""

    default_prefix = ""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the guesses of a batch."""
        self.results += [(one["scores"].argmax(), one["label"], one["parts"], one["votes"]) for one in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The scores of all clouds."""
        guesses, labels, parts, votes = zip(*results)
        truth, names = torch.tensor(labels), self.dataset_meta["classes"]
        scores = classification_scores(torch.stack(guesses)[:, None], truth, len(names))
        out = {"top1": scores.top1, "mean_class": scores.mean_per_class}
        for name in parts[0]:
            out[name] = 100 * sum(own[name] == label for own, label in zip(parts, labels)) / len(labels)
        views = 100 * (torch.stack(votes) == truth[:, None]).double().mean(0)
        out["front"] = float(views[0])
        each = ", ".join(f"{name} {share:.0f} %" for name, share in zip(names, scores.per_class.tolist()))
        counts = class_counts(names, truth.bincount(minlength=len(names)).tolist(), "clouds")
        said = f"each view alone, without training: {', '.join(f'{share:.1f}' for share in views.tolist())}"
        print_log(f"{counts}\n{said}\nby class: {each}", MMLogger.get_current_instance())
        return {key: round(value, 2) for key, value in out.items()}


@HOOKS.register_module()
class CloudClassesHook(Hook):
    """Gives a model without `classes` those of its data."""

    def before_train(self, runner: Any) -> None:
        runner.bare_model.set_classes(runner.train_dataloader.dataset.metainfo["classes"])

    def before_val(self, runner: Any) -> None:
        runner.bare_model.set_classes(runner.val_dataloader.dataset.metainfo["classes"])

    def before_test(self, runner: Any) -> None:
        runner.bare_model.set_classes(runner.test_dataloader.dataset.metainfo["classes"])
