"""Retrieval between sounds, pictures and texts in all six directions, and names for sounds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from prettytable import PrettyTable
from torch import Tensor

from clipkit.engine.registry import METRICS
from clipkit.evaluation.retrieval import Ranks, retrieval_ranks

_MODALITIES = ("audio", "image", "text")


@METRICS.register_module()
class SoundMetric(BaseMetric):
    """R@1, R@5, R@10 and MdR (`audio_to_text/R@1`, …) of each direction between the modalities that samples have;
    `names`, the share of sounds whose best name is theirs; `least`, the lowest R@1 of a direction with sound; `moved`,
    the largest change that heads made to CLIP's own embeddings, and `unchanged`, the share of items without one by a
    single bit. Needs `ModelForMetricsHook`.

    Args:
        retrieval: False leaves out the directions, for sets whose samples share their texts.
    """

    default_prefix = ""

    def __init__(self, retrieval: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.retrieval = retrieval
        self._model: Any = None

    def set_model(self, model: Any) -> None:
        """Takes the model, which encodes the names."""
        self._model = model

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps a batch's samples."""
        self.results.extend(data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Prints the table and returns the metrics, in percent but for MdR and `moved`."""
        rows = {name: torch.stack([own[name] for own in results]) for name in _MODALITIES if name in results[0]}
        moved = [own["moved"] for own in results]
        found = {"moved": max(moved), "unchanged": 100 * sum(value == 0 for value in moved) / len(moved)}
        if self.retrieval:
            table = PrettyTable(["direction", "R@1", "R@5", "R@10", "MdR"], align="r")
            for way, ranks in six_ways(rows).items():
                numbers = ranks.metrics()
                found |= {f"{way}/{key}": numbers[key] for key in ("R@1", "R@5", "R@10", "MdR")}
                table.add_row([way, *(f"{numbers[key]:.1f}" for key in ("R@1", "R@5", "R@10", "MdR"))])
            found["least"] = min(value for key, value in found.items() if "audio" in key and key.endswith("R@1"))
            print_log(f"among {len(results)}\n{table.get_string()}", MMLogger.get_current_instance())
        classes = (self.dataset_meta or {}).get("classes")
        if classes:
            labels = torch.tensor([own["label"] for own in results])
            names = self._model.encode_names(classes).cpu()
            found["names"] = 100 * float(((rows["audio"] @ names.T).argmax(1) == labels).double().mean())
        return {key: value if key == "moved" else round(value, 2) for key, value in found.items()}


def six_ways(rows: dict[str, Tensor]) -> dict[str, Ranks]:
    """Ranks of both directions between each two modalities; row i of each `(N, D)` belongs together."""
    found = {}
    for first, second in combinations(rows, 2):
        ranks = retrieval_ranks(rows[first].double() @ rows[second].double().T)
        found[f"{first}_to_{second}"] = ranks.text_to_video
        found[f"{second}_to_{first}"] = ranks.video_to_text
    return found
