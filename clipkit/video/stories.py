"""Stories of the embedded world as narrated films: who tells them is late."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from clipkit.data.narrated_sets import NarratedVideo
from clipkit.data.overlapped_pairs import TimedText
from clipkit.engine.registry import DATASETS, METRICS
from clipkit.shapes.stories import story_set
from clipkit.video.films import FilmMetric
from clipkit.video.narrated import NarratedMetric, NarratedVideos


@DATASETS.register_module()
class StoryTexts(NarratedVideos):
    """`n` stories, written as real video files once and read back as any others; see `clipkit.shapes.stories`.

    Args:
        folder: of the files.
        n, seed, story: as `story_set`, whose options are `story`.
        lag: seconds, at most, by which a sentence comes later than what it tells; each its own, 0 to `lag` alike. In
            tests sentences are in time, whatever it says.
        test_mode, options: of `NarratedVideos`.
    """

    def __init__(
        self,
        folder: str,
        n: int = 120,
        seed: int = 0,
        story: dict | None = None,
        lag: float = 2.0,
        test_mode: bool = False,
        **options: Any,
    ) -> None:
        stories = story_set(folder, n, seed, **(story or {}))
        name, lag = Path(folder).name, 0.0 if test_mode else lag
        videos = []
        for events in stories:
            file = events[0]["file"]
            random = Random(f"{seed} {file}")
            said = [(event, random.uniform(0, lag)) for event in events]
            texts = tuple(
                TimedText(event["start"] + late, event["end"] + late, event["caption"]) for event, late in said
            )
            videos.append(NarratedVideo(f"{name}/{file}", Path(folder) / file, texts))
        self._narrated(videos, about=[{"events": events} for events in stories], test_mode=test_mode, **options)


@METRICS.register_module()
class StoryMetric(NarratedMetric, FilmMetric):
    """`FilmMetric` of the stories' events, with R@1 and so on among all of them, and `frame_accuracy`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(retrieval=True, **options)

    def pieces(self, sample: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Each event's part of a story, with its task, pair and label."""
        found = zip(super().pieces(sample), sample["events"])
        return [
            {**piece, "name": sample["name"], **{key: event[key] for key in ("task", "pair", "label")}}
            for piece, event in found
        ]
