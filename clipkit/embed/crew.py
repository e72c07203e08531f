"""Who does the work of `clipkit precompute`, `frames` and `embed`: this process beside those of torchrun or Slurm
(`Alone`), or workers of a Ray cluster (`clipkit.embed.ray_crew`), as `clipkit.embed.hire` chooses. Both do the tasks of
one plan, see `clipkit.store.share`, and end with the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from clipkit.embed._work import BaseWork
from clipkit.errors import ClipkitError
from clipkit.store.share import Shelf, own_rank, share

Load = Callable[[torch.device], tuple[Any, dict[str, Any]]]
"""A device -> a model there, and the part of a store's key that it makes; such as `load_frozen` without its device."""
Make = Callable[[Any, Mapping[str, Any], ThreadPoolExecutor], BaseWork]
"""The model, id -> what is read for it, threads that read -> the work. For a `Crew` of Ray it must pickle: a class, or
a `functools.partial` of one."""


@dataclass
class Done:
    """What came of the items: those that could not be read, id -> why, and what else was `BaseWork.counts`."""

    problems: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


class Crew(Protocol):
    """Those who compute the records of a shelf.

    Attributes:
        made_by: what their model says, see `Load`.
        reports: whether this process tells what came of it all; of several, one does.
    """

    made_by: dict[str, Any]
    reports: bool

    def fill(
        self, shelf: Shelf, sources: Mapping[str, Any], make: Make, *, desc: str, unit: str, progress: bool = True
    ) -> Done:
        """Computes what `shelf` lacks of `sources`, and returns when all is there.

        Args:
            sources: id -> what the work reads for it.
            desc, unit: what the progress bar says.
        """
        ...


class Alone:
    """This process; where torchrun or Slurm started it, it shares the work with the others.

    Args:
        model: what `make` gets.
        workers: threads that read.
    """

    def __init__(self, model: Any, made_by: Mapping[str, Any], workers: int) -> None:
        if workers < 1:
            raise ClipkitError("--workers must be at least 1")
        self.model, self.made_by, self.workers = model, dict(made_by), workers
        self.reports = own_rank()[0] == 0

    def fill(
        self, shelf: Shelf, sources: Mapping[str, Any], make: Make, *, desc: str, unit: str, progress: bool = True
    ) -> Done:
        """See `Crew.fill`."""
        tasks = shelf.plan(sources)
        with ThreadPoolExecutor(self.workers) as pool:
            work = make(self.model, sources, pool)
            share(
                shelf, tasks, work, ranks=own_rank(), progress=progress, desc=desc, unit=unit, ahead=work.ahead,
                note=work.speed,
            )  # fmt: skip
        return Done(work.problems, work.counts)
