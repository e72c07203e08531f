"""Films in which somebody speaks, as a data set of pairs that are drawn anew in each epoch, and its metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from prettytable import PrettyTable
from torch import Tensor

from clipkit.data.narrated_sets import NarratedVideo, read_narrated_set
from clipkit.data.overlapped_pairs import OverlappedPairs, Pair, TimedText
from clipkit.data.padding import pad_rows, spread
from clipkit.data.retrieved_batches import RetrievedBatches
from clipkit.data.video_sets import CaptionedVideo
from clipkit.engine.registry import DATA_SAMPLERS, DATASETS, METRICS
from clipkit.engine.sampler import Draw, ResumableInfiniteSampler
from clipkit.errors import ClipkitError
from clipkit.evaluation.film_segmentation import frame_accuracy, segment_film
from clipkit.video.datasets import VideoTexts, equal_text_id, found_or_refused
from clipkit.video.metrics import RetrievalMetric


@DATASETS.register_module()
class NarratedVideos(VideoTexts):
    """In training an item is a film, a list of the pairs that `OverlappedPairs` draws of it in this epoch; in tests a
    whole film with its sentences, for `NarratedMetric`. Frames come from the store, of which a window is a slice.

    Args:
        data, root, split, videos: see `clipkit.data.narrated_sets.read_narrated_set`.
        pairs: options of `OverlappedPairs`.
        max_frames: of a longer window so many are taken, spread evenly.
        options: of `VideoTexts`: `clip`, `store`, `sampling=dict(fps=…)`, `on_bad`, …

    Samples of pairs also say their `window`: the film's number, first and last second.

    Raises:
        ClipkitError: as `VideoTexts`; no store, or another sampling than fps.
    """

    def __init__(
        self,
        data: str,
        root: str,
        split: str = "train",
        videos: str | None = None,
        *,
        on_bad: str = "raise",
        **options: Any,
    ) -> None:
        found = found_or_refused(lambda: read_narrated_set(data, root, split, videos), f"{root} {split}", on_bad)
        self._narrated(found.videos, on_bad=on_bad, **options)

    def _narrated(
        self,
        videos: Sequence[NarratedVideo],
        about: Sequence[Mapping[str, Any]] | None = None,
        pairs: Mapping[str, Any] | None = None,
        sampling: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        rate = dict(sampling or {"fps": 1.0})
        if options.get("store") is None or set(rate) != {"fps"}:
            raise ClipkitError("windows of films are slices of a store: give store=FOLDER and sampling=dict(fps=…)")
        try:
            self.pairs = OverlappedPairs(**(pairs or {}))
        except (TypeError, ValueError) as error:
            raise ClipkitError(f"pairs: {error}") from error
        self.frame_seconds = 1.0 / rate["fps"]
        told = [{"said": v.said, **(about[i] if about else {})} for i, v in enumerate(videos)]
        bare = [CaptionedVideo(v.id, v.path, ()) for v in videos]
        # Texts of pairs are many, and new in each epoch: they are no part of the store.
        self._load(bare, about=told, sampling=rate, **{**options, "strings": True})

    def __getitem__(self, index: int) -> Any:
        """Samples as `VideoTexts` has them, a list; in tests one, with the film's `said` and the `times` of frames."""
        epoch = (index.draw if isinstance(index, Draw) else 0) // len(self)
        index = int(index)
        film = self.store[self.videos[index].id]  # type: ignore[index]  # there is a store
        said: tuple[TimedText, ...] = self.about[index]["said"]
        frames, times = torch.from_numpy(film.embeddings), film.timestamps
        if self.test_mode:
            sample = self._sample(index, 0, frames, [one.text for one in said])
            return {**sample, "times": torch.tensor(times), **self.about[index]}
        drawn = self.pairs(self.videos[index].id, said, float(times[-1]) + self.frame_seconds, epoch)
        return [self._pair(index, k, frames, times, pair) for k, pair in enumerate(drawn)]

    def _pair(self, index: int, k: int, frames: Tensor, times: np.ndarray, pair: Pair) -> dict[str, Any]:
        own = frames[inside(times, pair.start, pair.end, self.max_frames)]
        window = torch.tensor([index, pair.start, pair.end], dtype=torch.float64)
        return {**self._sample(index, k, own, [pair.text]), "window": window}

    def _sample(self, index: int, k: int, frames: Tensor, texts: list[str]) -> dict[str, Any]:
        return {
            "frames": frames,
            "texts": texts,
            "video": torch.tensor(index * self.pairs.pairs + k),
            "caption": torch.tensor([equal_text_id(text) for text in texts]),
            "name": self.videos[index].id,
        }

    def film_vectors(self) -> np.ndarray:
        """`(films, D)`: of each film the mean of its frames' embeddings of unit length. Reads the whole store."""
        rows = (self.store[video.id].embeddings for video in self.videos)  # type: ignore[index]
        return np.stack([(own / np.linalg.norm(own, axis=1, keepdims=True)).mean(0) for own in rows])


def inside(times: np.ndarray, start: float, end: float, most: int) -> np.ndarray:
    """Places of at most `most` frames, spread evenly, of those that begin from `start` to before `end`; where none
    does, as in a still, of the one on show at `start`."""
    places = np.flatnonzero((times >= start) & (times < end))
    if not len(places):
        places = np.array([max(int(np.searchsorted(times, start, side="right")) - 1, 0)])
    return places[spread(len(places), most)]


@DATA_SAMPLERS.register_module()
class RetrievedBatchSampler(ResumableInfiniteSampler):
    """Endless batches of films that are near each other, see `RetrievedBatches`; ranks share each batch.

    Args:
        dataset: has `film_vectors() -> (V, D)`, as `NarratedVideos` does.
        films: in a batch: the loader's `batch_size` times the number of ranks.
        candidates, seed: as `RetrievedBatches`.
    """

    def __init__(self, dataset: Any, films: int = 32, candidates: int = 64, seed: int | None = 0) -> None:
        super().__init__(dataset, seed=seed)
        try:
            self.batches = RetrievedBatches(dataset.film_vectors(), films, candidates, self.seed)
        except ValueError as error:
            raise ClipkitError(f"RetrievedBatchSampler: {error}") from error
        self.size = len(self.batches) * films

    def order(self, epoch: int) -> np.ndarray:
        """`(size,)` the films of an epoch, batch after batch."""
        return self.batches(epoch).ravel()


@METRICS.register_module()
class NarratedMetric(RetrievalMetric):
    """Of whole films with sentences: retrieval among all films' pieces in which a sentence is said, as
    `RetrievalMetric`, and `frame_accuracy`, the percent of frames at which `segment_film` names the right one of their
    film's sentences; frames at which nothing is said do not count.

    Args:
        window: seconds, of `segment_film`.
        max_frames: of a piece, spread evenly, and of a window.
        options: of `RetrievalMetric`.
    """

    def __init__(self, window: float = 4.0, max_frames: int = 32, **options: Any) -> None:
        super().__init__(**options)
        self.window, self.max_frames = window, max_frames

    def score(self, samples: Sequence[dict]) -> dict[str, float]:
        pieces = [piece for sample in samples for piece in self.pieces(sample)]
        right = torch.cat([self._right(sample) for sample in samples])
        accuracy = 100 * float(right.double().mean()) if len(right) else float("nan")
        return {**super().score(pieces), "frame_accuracy": accuracy}

    def pieces(self, sample: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A sample as `RetrievalMetric` has them for each sentence of a film's."""
        times = sample["times"].numpy()
        places = [inside(times, start, end, self.max_frames) for start, end, _ in sample["said"]]
        return [{"frames": sample["frames"][own], "texts": [sample["texts"][i]]} for i, own in enumerate(places)]

    def _right(self, sample: Mapping[str, Any]) -> Tensor:
        rows = sample["texts"]
        text, mask = (torch.stack(rows), None) if rows[0].ndim == 1 else pad_rows(rows)
        options: dict[str, Any] = {"text_mask": mask, "window": self.window, "most": self.max_frames}
        found = segment_film(self._head, text, sample["frames"], sample["times"], **options)
        spans, texts = zip(*(((start, end), text) for start, end, text in sample["said"]))
        return frame_accuracy(found, sample["times"], spans, texts)

    def table(self, samples: Sequence[dict], metrics: dict[str, float]) -> PrettyTable:
        """What is printed."""
        table = PrettyTable([f"{len(samples)} films, {sum(len(s['said']) for s in samples)} sentences", ""], align="l")
        for name, value in metrics.items():
            table.add_row([name, f"{value:.2f}"])
        return table
