"""Stories of the embedded world: films of 32 to 64 seconds in which event follows event, with a sentence for each.

Stories come in pairs: story 2k + 1 is story 2k with each event played backwards in its place, so that the two share
their frames, and only their sentences' verbs tell them apart. (An event at rest is another object at rest there.)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from clipkit.shapes._film_words import TASKS
from clipkit.shapes.film_files import SUFFIX, chunk_seed, make_once, read_film_set, write_film
from clipkit.shapes.films import render_films

EVENTS = 8
SECONDS = range(4, 9)  # of an event
FPS = 2
_CHUNK = 32  # stories in memory at once


def story_set(
    folder: str | Path, n: int, seed: int = 0, tasks: Sequence[str] = TASKS, **options: Any
) -> list[list[dict[str, Any]]]:
    """`n` stories as films of `FPS` frames a second, made once: a folder that is there is complete, and is used again.

    Args:
        folder: gets `000000.mkv`, … and `manifest.jsonl`; its parent is made.
        n: even.
        tasks: of which each event is one, at random.
        seed, options: as `render_films`.

    Returns:
        Of each story its events in order, a dict each as `film_set` has them, with `start` and `end` in seconds.
        `pair` is the number of an event's first story times `EVENTS`, plus its place: two events have it in common.

    Raises:
        ClipkitError: the folder holds something else, or stories that were made otherwise.
        ValueError: n is odd or not positive.
    """
    if n < 2 or n % 2:
        raise ValueError(f"n is {n}: stories come in pairs")
    folder = Path(folder)
    made_by = {"stories": n, "seed": seed, "tasks": list(tasks), **options}
    if not folder.exists():
        make_once(folder, lambda aside: [made_by, *_write(aside, n, seed, tasks, options)])
    stories: dict[str, list[dict[str, Any]]] = {}
    for event in read_film_set(folder, made_by):
        stories.setdefault(event["file"], []).append(event)
    return list(stories.values())


def _write(folder: Path, n: int, seed: int, tasks: Sequence[str], options: dict[str, Any]) -> list[dict[str, Any]]:
    lines = []
    for start in range(0, n, _CHUNK):
        random = Random(chunk_seed(seed, "story", start))
        pairs = range(min(_CHUNK, n - start) // 2)
        plans = [[(random.choice(tasks), random.choice(SECONDS)) for _ in range(EVENTS)] for _ in pairs]
        for number, (frames, events) in enumerate(_render(plans, seed, start, options), start):
            name = f"{number:06d}{SUFFIX}"
            write_film(frames, folder / name, FPS)
            for place, event in enumerate(events):
                lines.append({"file": name, **event, "pair": (number - number % 2) * EVENTS + place})
    return lines


def _render(
    plans: list[list[tuple[str, int]]], seed: int, first: int, options: dict[str, Any]
) -> list[tuple[Tensor, list[dict[str, Any]]]]:
    """Two stories a plan, which says the task and the seconds of each event."""
    films: dict[tuple[str, int], Any] = {}
    for kind in sorted({kind for plan in plans for kind in plan}):  # films of one task and length are rendered together
        wanted = 2 * sum(plan.count(kind) for plan in plans)
        own = render_films(wanted, kind[0], chunk_seed(seed, str(kind), first), frames=kind[1] * FPS, **options)
        films[kind] = zip(own.frames, own.labels.tolist(), own.captions)
    stories = []
    for plan in plans:
        pair: tuple[list[Any], list[Any]] = ([], [])
        for kind in plan:
            for story in pair:
                story.append((*kind, *next(films[kind])))
        stories += [_joined(story) for story in pair]
    return stories


def _joined(events: list[tuple[str, int, Tensor, int, str]]) -> tuple[Tensor, list[dict[str, Any]]]:
    told, start = [], 0
    for task, seconds, _, label, caption in events:
        told.append({"task": task, "label": label, "caption": caption, "start": start, "end": start + seconds})
        start += seconds
    return torch.cat([frames for _, _, frames, _, _ in events]), told
