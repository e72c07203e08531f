"""One id that counts nowhere: the data set, the model and the metric of a config must mean the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clipkit.errors import ClipkitError

DEFAULT = 255  # of mmseg's data sets, heads and metrics, and of clipkit's


def check_ignored(tree: Mapping[str, Any]) -> None:
    """Refuses a config whose data set ignores an id that its model would be trained on, or its metric would score.

    Raises:
        ClipkitError: the line names both keys.
    """
    for part in ("train", "val", "test"):
        where, data = f"{part}_dataloader.dataset", (tree.get(f"{part}_dataloader") or {}).get("dataset")
        while isinstance(data, Mapping) and isinstance(data.get("dataset"), Mapping):
            where, data = f"{where}.dataset", data["dataset"]
        ignored = data.get("ignore_index") if isinstance(data, Mapping) else None
        if ignored is None:
            continue
        for key, said in _of_model(tree) if part == "train" else _of_metrics(tree, f"{part}_evaluator"):
            if said != ignored:
                what = "trained on" if part == "train" else "scored"
                raise ClipkitError(
                    f"{where}.ignore_index={ignored}, but {key}={said}: pixels of {ignored} would still be {what}; set "
                    "both to the same"
                )


def _of_model(tree: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    model = tree.get("model") or {}
    if "ignore_index" in model:
        yield "model.ignore_index", model["ignore_index"]
        return
    heads = [key for key in ("decode_head", "auxiliary_head") if isinstance(model.get(key), Mapping)]
    for key in heads:
        yield f"model.{key}.ignore_index", model[key].get("ignore_index", DEFAULT)
    if not heads:
        yield "model.ignore_index", DEFAULT


def _of_metrics(tree: Mapping[str, Any], key: str) -> Iterator[tuple[str, int]]:
    metrics = tree.get(key) or ()
    several = isinstance(metrics, (list, tuple))
    for number, metric in enumerate(metrics if several else [metrics]):
        if "IoU" in str(metric.get("type", "")):
            yield f"{key}{f'.{number}' if several else ''}.ignore_index", metric.get("ignore_index", DEFAULT)
