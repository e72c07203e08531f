"""What is known of a trained model beside its weights: how long it trained, its labels, its scores. Everything comes
from a work folder's own records, or from a bundle; what is not recorded is left out."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipkit.engine.checkpoint import load_checkpoint
from clipkit.engine.work_folder import find_record, read_record
from clipkit.errors import ClipkitError

_TIMES = ("data_time", "time", "step", "iter", "epoch")
_SHORT = 80  # characters of a name of a score


@dataclass(frozen=True)
class Records:
    """Attributes:
    labels: names of what is predicted, in order; empty where the model has none of its own.
    scores: name -> number, of this checkpoint.
    measured: types of the data set and the metrics that the scores are of.
    trained: its `iterations`.
    """

    labels: tuple[str, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)
    measured: tuple[str, ...] = ()
    trained: dict[str, Any] = field(default_factory=dict)


def read_records(checkpoint: Path | None, labels: tuple[str, ...]) -> Records:
    """The records of a checkpoint in its work folder.

    Args:
        checkpoint: None of a model that trains nothing.
        labels: the model's own.
    """
    if checkpoint is None:
        return Records(labels)
    iteration = load_checkpoint(checkpoint, mmap=True).get("meta", {}).get("iter")
    if not isinstance(iteration, int) or isinstance(iteration, bool):
        return Records(labels)
    scores = _scores(checkpoint.parent, iteration)
    return Records(labels, scores, _measured(checkpoint.parent) if scores else (), {"iterations": iteration})


def _measured(work_dir: Path) -> tuple[str, ...]:
    """Types of the data set and of the metrics that validation had there."""
    try:
        cfg = read_record(find_record(work_dir))
    except (ClipkitError, OSError):  # of an older folder there is a config that would have to be run
        return ()
    return (*_types((cfg.get("val_dataloader") or {}).get("dataset")), *_types(cfg.get("val_evaluator")))


def _scores(work_dir: Path, iteration: int) -> dict[str, float]:
    """What the validation after an iteration wrote into the work folder's log, the newest one's."""
    for log in sorted(work_dir.glob("*/vis_data/scalars.json"), reverse=True):
        for line in reversed(log.read_text(encoding="utf-8", errors="replace").splitlines()):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):  # cut off by a kill
                continue
            if isinstance(row, dict) and row.get("step") == iteration and "lr" not in row and "loss" not in row:
                return checked_scores({name: value for name, value in row.items() if name not in _TIMES})
    return {}


def checked_scores(scores: Any) -> dict[str, float]:
    """Finite numbers by name; what is none is left out."""
    return {
        name: value
        for name, value in (scores.items() if isinstance(scores, dict) else ())
        if isinstance(name, str) and len(name) <= _SHORT and type(value) in (int, float) and math.isfinite(value)
    }


def _types(config: Any) -> list[str]:
    """The `type` of a config, or of those in a list."""
    parts = config if isinstance(config, (list, tuple)) else [config]
    return [str(part["type"]) for part in parts if isinstance(part, dict) and isinstance(part.get("type"), str)]
