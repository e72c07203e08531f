"""The errors of predicted depth, beside those of the best constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from prettytable import PrettyTable
from torch import Tensor

from clipkit.engine.registry import METRICS
from clipkit.errors import ClipkitError
from clipkit.evaluation.depth import CAP, LEAST, depth_errors, measured, pairs_in_order, rank_correlation

_SHOWN = ("abs_rel", "rmse", "log10", "delta1", "delta2", "delta3")


@METRICS.register_module()
class DepthErrors(BaseMetric):
    """AbsRel, RMSE (metres), log10 and δ1 to δ3 of each picture, then their means over pictures; and `spearman`, the
    rank correlation of predicted and measured depth over the pixels of all pictures.

    Where a data set knows its objects: `spearman_objects`, of the objects' mean depths, and `order`, the share (%) of
    pairs of objects of one picture that are in their order.

    The table has a second line, the errors of a constant, the median of all that was measured here: what a model has
    that knows the data and sees nothing.

    Args:
        cap, least: metres between which a pixel counts, see `clipkit.evaluation.depth.measured`.
        pixels: at most so many of a picture, evenly spread, count for `spearman` and for the constant.
    """

    default_prefix = ""

    def __init__(self, cap: float = CAP, least: float = LEAST, pixels: int = 4096, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cap, self.least, self.pixels = cap, least, pixels

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps of each picture its errors, some pixels and its objects.

        Raises:
            ClipkitError: a picture of which nothing was measured.
        """
        for sample in data_samples:
            predicted, truth = sample["predicted"], sample["depth"].cpu()
            valid = measured(truth, self.least, self.cap)
            if not valid.any():
                raise ClipkitError(f"picture {sample['name']}: no depth between {self.least} and {self.cap} metres")
            both = torch.stack([predicted[valid], truth[valid]])
            every = -(-both.shape[1] // self.pixels)
            objects = _objects(predicted, truth, sample["objects"].cpu()) if "objects" in sample else None
            self.results.append((depth_errors(predicted, truth, self.least, self.cap), both[:, ::every], objects))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The means over pictures, and the rest over all of them."""
        pixels = torch.cat([some for _, some, _ in results], 1)
        median = pixels[1].median()
        rows = [errors for errors, _, _ in results]
        constant = [depth_errors(median.expand(some.shape[1]), some[1], self.least, self.cap) for _, some, _ in results]
        table = PrettyTable(["", *_SHOWN], align="r")
        out: dict[str, float] = {}
        for name, own, prefix in (("predicted", rows, ""), (f"{median:.2f} m", constant, "constant/")):
            means = {key: sum(row[key] for row in own) / len(own) for key in _SHOWN}
            table.add_row([name, *(f"{value:.3f}" for value in means.values())])
            out |= {f"{prefix}{key}": value for key, value in means.items()}
        out["spearman"] = rank_correlation(*pixels)
        if objects := [found for _, _, found in results if found is not None]:
            out["spearman_objects"] = rank_correlation(*torch.cat(objects, 1))
            right, pairs = (sum(counts) for counts in zip(*(pairs_in_order(*found) for found in objects)))
            out["order"] = 100 * right / max(pairs, 1)
        print_log(f"depth of {len(rows)} pictures\n{table.get_string()}", MMLogger.get_current_instance())
        return {key: round(float(value), 4) for key, value in out.items()}


def _objects(predicted: Tensor, truth: Tensor, instances: Tensor) -> Tensor:
    """(2, N): the mean predicted and true depth of each object that can be seen."""
    found = [(predicted[instances == i].mean(), truth[instances == i].mean()) for i in instances.unique() if i > 0]
    return torch.tensor(found).view(-1, 2).T
