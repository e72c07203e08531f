"""Text-video retrieval as mmengine's evaluator, and the hook that gives metrics the model's head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MMLogger, print_log
from prettytable import PrettyTable
from torch import Tensor

from clipkit.data.padding import pad_rows
from clipkit.engine.registry import HOOKS, METRICS
from clipkit.errors import ClipkitError, did_you_mean
from clipkit.evaluation import retrieve
from clipkit.evaluation.retrieval import TIES
from clipkit.evaluation.video_retrieval import score_rows


@HOOKS.register_module()
class ModelForMetricsHook(Hook):
    """Before validation and test, gives every metric that wants it the model, by `set_model(model)`."""

    def before_val(self, runner: Any) -> None:
        self._give(runner, runner.val_loop)

    def before_test(self, runner: Any) -> None:
        self._give(runner, runner.test_loop)

    def _give(self, runner: Any, loop: Any) -> None:
        for metric in loop.evaluator.metrics:
            if callable(getattr(metric, "set_model", None)):
                metric.set_model(runner.bare_model)


@METRICS.register_module()
class RetrievalMetric(BaseMetric):
    """R@1, R@5, R@10, MdR and MnR, text to video (`t2v_…`) and video to text (`v2t_…`). Embeddings are collected, and
    `clipkit.evaluation.retrieve` shows the head each video once. Needs `ModelForMetricsHook`.

    Samples are dicts with `frames` `(F, D)`, `texts` (a list of `(D,)`, or `(L, D)` for token-wise heads).

    Args:
        ties: 'expected', 'optimistic' or 'pessimistic', see `Ranks.metrics`.
        rerank: see `retrieve`; for heads that score pairs.
        collect_device: `cpu` or `gpu`, where ranks exchange their samples.
    """

    default_prefix = ""  # None would warn at every start that there is none

    def __init__(self, ties: str = "expected", rerank: int | None = None, collect_device: str = "cpu") -> None:
        super().__init__(collect_device=collect_device)
        if ties not in TIES:
            raise ClipkitError(f'RetrievalMetric: unknown ties "{ties}"; {did_you_mean(ties, TIES)}')
        if rerank is not None and rerank < 1:
            raise ClipkitError(f"RetrievalMetric: rerank is a number of videos, at least 1, or None, got {rerank}")
        self.ties, self.rerank = ties, rerank
        self._head: Any = None

    def set_model(self, model: Any) -> None:
        """Takes the head of the model."""
        self._head = model.head

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps a batch's samples."""
        self.results.extend(data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Prints the table and returns the metrics, R@k in percent."""
        if self._head is None:
            raise ClipkitError("RetrievalMetric has no head: add dict(type='ModelForMetricsHook') to custom_hooks")
        if unread := [sample for sample in results if not len(sample["frames"])]:
            print_log(f"left out: {len(unread)} videos without a frame", "current")
            results = [sample for sample in results if len(sample["frames"])]
        if not results:
            raise ClipkitError("not one test video has a frame; the lines above say why")
        metrics = self.score(results)
        print_log("\n" + self.table(results, metrics).get_string(), MMLogger.get_current_instance())
        return {key: round(value, 2) for key, value in metrics.items()}

    def score(self, samples: Sequence[dict]) -> dict[str, float]:
        """Metrics of the samples among themselves."""
        text, text_mask, frames, mask, owner = stacked(samples)
        ranks = retrieve(self._head, text, frames, mask, owner, text_mask=text_mask, rerank=self.rerank)
        return ranks.metrics(self.ties)

    def score_matrix(self, samples: Sequence[dict]) -> Tensor:
        """Scores `(N, M)` of all sentences and videos."""
        text, text_mask, frames, mask, _ = stacked(samples)
        was_training = self._head.training
        self._head.eval()
        with torch.no_grad():
            rows = score_rows(self._head, text, frames, mask, text_mask=text_mask)
            scores = rows(torch.arange(len(text))).cpu()
        self._head.train(was_training)
        return scores

    def table(self, samples: Sequence[dict], metrics: dict[str, float]) -> PrettyTable:
        """What is printed."""
        texts = sum(len(sample["texts"]) for sample in samples)
        names = list(dict.fromkeys(key.partition("_")[2] for key in metrics))
        table = PrettyTable([f"{texts} texts, {len(samples)} videos", *names], align="l")
        for way, title in (("t2v", "text to video"), ("v2t", "video to text")):
            table.add_row([title, *(f"{metrics[f'{way}_{name}']:.1f}" for name in names)])
        return table


def stacked(samples: Sequence[dict]) -> tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor]:
    """Sentences `(N, D)` or `(N, L, D)`, their mask or None, frames `(M, F, D)`, their mask, owners `(N,)`."""
    frames, mask = pad_rows([sample["frames"] for sample in samples])
    texts = [text for sample in samples for text in sample["texts"]]
    owner = torch.tensor([i for i, sample in enumerate(samples) for _ in sample["texts"]])
    if texts[0].ndim == 1:
        return torch.stack(texts), None, frames, mask, owner
    return (*pad_rows(texts), frames, mask, owner)
