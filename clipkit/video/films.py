"""Films of the embedded world as videos with sentences, and what of their order a model sees."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from prettytable import PrettyTable
from torch import Tensor

from clipkit.data.video_sets import CaptionedVideo
from clipkit.engine.registry import DATASETS, METRICS
from clipkit.evaluation.retrieval import Ranks
from clipkit.shapes import COLOURS, SHAPES, film_caption
from clipkit.shapes.film_files import film_set
from clipkit.video.datasets import VideoTexts
from clipkit.video.metrics import RetrievalMetric

TASKS = ("direction", "reversed", "order", "speed", "static")
_OBJECT = re.compile(f"(?:{'|'.join(COLOURS)}) (?:{'|'.join(SHAPES)})")


@DATASETS.register_module()
class FilmTexts(VideoTexts):
    """`n` films of each task, written as real video files once and read back as any others; see `clipkit.shapes.films`.

    Args:
        folder: of the files.
        tasks, n, seed, film: as `film_set`, whose options are `film`: `dict(words='unseen', subset='seen')`.
        of_each: use only so many of each task, the first.
        in_pairs: an item is a list of samples, a film and its reverse, so that each is the other's negative in a batch.
            Among films drawn at random they seldom meet, and order hardly matters to the objective.
        wordings: sentences of each film: its own, and the same told in other words that training may see.
        options: of `VideoTexts`: `clip`, `store`, `sampling`, …

    Samples also say `task`, `pair` and `label`.
    """

    def __init__(
        self,
        folder: str,
        tasks: Sequence[str] = TASKS,
        n: int = 400,
        seed: int = 0,
        film: dict | None = None,
        of_each: int | None = None,
        in_pairs: bool = False,
        wordings: int = 1,
        **options: Any,
    ) -> None:
        films = film_set(folder, tasks, n, seed, **(film or {}))
        if of_each is not None:
            films = [f for task in tasks for f in [f for f in films if f["task"] == task][:of_each]]
        name = Path(folder).name
        videos = [CaptionedVideo(f"{name}/{f['file']}", Path(folder) / f["file"], retold(f, wordings)) for f in films]
        about = [{key: f[key] for key in ("task", "pair", "label")} for f in films]
        self._load(videos, about=about, **options)
        groups: dict[tuple, list[int]] = {}
        for index, own in enumerate(self.about):
            groups.setdefault((own["task"], own["pair"]) if in_pairs else (index,), []).append(index)
        self.groups, self.in_pairs = list(groups.values()), in_pairs

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> Any:
        samples = [super(FilmTexts, self).__getitem__(i) for i in self.groups[int(index)]]
        return samples if self.in_pairs else samples[0]


def retold(film: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """A film's caption, and others in the words of training, at most `count` in all."""
    objects = _OBJECT.findall(film["caption"])
    if film["task"] == "order" and " after " in film["caption"]:
        objects.reverse()
    random = Random(film["caption"])
    others = [film_caption(film["task"], film["label"], objects, "seen", random) for _ in range(4 * (count - 1))]
    return tuple(dict.fromkeys([film["caption"], *others]))[:count]


@METRICS.register_module()
class FilmMetric(RetrievalMetric):
    """Percent of right choices, for each task:

    - of films that come in pairs, one the reverse of the other: the share of right choices between the two, given a
      sentence or given a film (`direction`, …; `pairs` is the mean over tasks). What is blind to order ties, and has
      50 under the rule 'expected';
    - `static`: the share of sentences whose best still film has the right colour and shape, and the reverse.

    Args:
        retrieval: also rank all films of all tasks, R@1 and so on; pairs are dear for heads that do not pool.
        tolerance: scores that differ by no more are tied; frames of a film and of its reverse are embedded in different
            batches, which rounds differently.
    """

    def __init__(
        self, ties: str = "expected", retrieval: bool = False, tolerance: float = 1e-5, collect_device: str = "cpu"
    ) -> None:
        super().__init__(ties, collect_device=collect_device)
        self.retrieval, self.tolerance = retrieval, tolerance

    def score(self, samples: Sequence[dict]) -> dict[str, float]:
        values = {}
        for task in dict.fromkeys(sample["task"] for sample in samples):
            own = sorted((s for s in samples if s["task"] == task), key=lambda s: (s["pair"], s["name"]))
            scores = self.score_matrix(own)
            if task == "static":
                values[task] = label_accuracy(scores, torch.tensor([sample["label"] for sample in own]))
            else:
                values[task] = pair_accuracy(scores, self.ties, self.tolerance)
        if paired := [value for task, value in values.items() if task != "static"]:
            values["pairs"] = sum(paired) / len(paired)
        return {**values, **super().score(samples)} if self.retrieval else values

    def table(self, samples: Sequence[dict], metrics: dict[str, float]) -> PrettyTable:
        table = PrettyTable([f"{len(samples)} films", "%"], align="l")
        for task, value in metrics.items():
            table.add_row([task, f"{value:.2f}"])
        return table


def pair_accuracy(scores: Tensor, ties: str = "expected", tolerance: float = 0.0) -> float:
    """Percent of right choices between the two of a pair, for sentences and for films. `scores` `(2P, 2P)`; rows and
    columns 2k and 2k + 1 are a pair."""
    first = torch.arange(0, len(scores), 2)
    above, tied = [], []
    for own, other in ((first, first + 1), (first + 1, first)):
        right = scores[own, own]
        for wrong in (scores[own, other], scores[other, own]):  # the sentence's other film, the film's other sentence
            same = (wrong - right).abs() <= tolerance
            above.append(~((wrong < right) | same))
            tied.append(same)
    return Ranks(torch.cat(above).long(), torch.cat(tied).long()).metrics(ties)["R@1"]


def label_accuracy(scores: Tensor, labels: Tensor) -> float:
    """Percent of sentences and of films whose best counterpart has their label. `scores` `(N, N)`."""
    hits = [labels[scores.argmax(dim)] == labels for dim in (0, 1)]
    return 100 * float(torch.cat(hits).double().mean())
