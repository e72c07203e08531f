"""Films of the embedded world in which the order of the frames matters, and a control in which it does not.

Every task but 'static' comes in pairs: film 2k + 1 is film 2k played backwards, frame for frame, and is called the
opposite. What sees a film as a bag of frames cannot tell the two apart.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from clipkit.shapes._film_words import ACTIONS, TASKS, WORDS, film_caption
from clipkit.shapes._words import COLOURS, SHAPES, class_names
from clipkit.shapes.render import RGB, _allowed, _draw, _plan

FRAMES = 16


class Films(NamedTuple):
    """A batch of films.

    Attributes:
        frames: `(n, T, 3, H, W)` float32 RGB in [0, 1].
        labels: `(n,)` int64: the action (`action_names(task)`); for 'order' 0 and its reverse 1; for 'static' the
            composition (`class_names()`).
        captions: one a film.
    """

    frames: Tensor
    labels: Tensor
    captions: list[str]


@torch.no_grad()
def render_films(
    n: int,
    task: str,
    seed: int = 0,
    *,
    frames: int = FRAMES,
    size: int = 64,
    words: str = "seen",
    split: str | None = "composition",
    subset: str = "all",
) -> Films:
    """Renders `n` films of `frames` × `size` × `size`. Equal arguments give equal films.

    Args:
        task: 'direction': one object crosses the scene: left, right, up, down. 'reversed': it grows or shrinks, appears
            or vanishes. 'order': one object, then another. 'speed': it crosses faster and faster or slower and
            slower, in any direction. 'static': it rests.
        words: 'seen' or 'unseen' wordings of the captions.
        split, subset: which colours and shapes there are, as `render` has them.

    Raises:
        ValueError: for an unknown word, `n` that is odd where films come in pairs, or an odd number of frames.
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}, known: {', '.join(TASKS)}")
    if words not in WORDS:
        raise ValueError(f"words is {words!r}, known: {', '.join(WORDS)}")
    pairs = task != "static"
    if n < 1 or (pairs and n % 2):
        raise ValueError(f"n is {n}: films of the task {task!r} come in pairs" if n > 0 else f"n is {n}, not one film")
    if frames < 2 or frames % 2:
        raise ValueError(f"frames is {frames}, a film has an even number of at least 2")
    count = n // 2 if pairs else n
    allowed = _allowed(split, subset)
    plan = _plan(count, size, seed, 2 if task == "order" else 1, 2 if task == "order" else 1, allowed)
    g = torch.Generator().manual_seed(seed + 2**33)
    composition = _compositions(plan, allowed, g)
    action = _script(plan, task, frames, size, g)
    film = _draw_films(plan, frames, size)
    names = class_names()
    objects = [[names[i] for i in row] for row in composition.tolist()]
    if pairs:
        film = torch.stack([film, film.flip(1)], 1).flatten(0, 1)
        action = torch.stack([action, action + 1], 1).flatten()
        objects = [told for row in objects for told in (row, row[::-1])]
    else:
        action = composition[:, 0]
    random = Random(seed)
    captions = [film_caption(task, label, told, words, random) for label, told in zip(action.tolist(), objects)]
    return Films(film, action, captions)


def _compositions(plan: dict[str, Tensor], allowed: Tensor, g: torch.Generator) -> Tensor:
    """(B, N) ids of the objects; the two of 'order' differ."""
    composition = plan["colour"] * len(SHAPES) + plan["shape"]
    if composition.shape[1] == 2:
        place = torch.searchsorted(allowed, composition[:, 0].contiguous())
        other = (place + torch.randint(1, len(allowed), place.shape, generator=g)) % len(allowed)
        composition[:, 1] = allowed[other]
        plan["colour"], plan["shape"] = composition // len(SHAPES), composition % len(SHAPES)
        plan["rgb"] = torch.tensor([RGB[name] for name in COLOURS])[plan["colour"]]
    return composition


def _script(plan: dict[str, Tensor], task: str, frames: int, size: int, g: torch.Generator) -> Tensor:
    """Gives position, radius and presence a time axis (B, T, N, …); returns the even action of each pair (B,)."""
    count, objects = plan["radius"].shape
    time = torch.linspace(0, 1, frames)[None, :, None]
    radius = size * (0.15 + 0.08 * torch.rand(count, 1, objects, generator=g)).expand(-1, frames, -1)
    centre = plan["centre"][:, None].expand(-1, frames, -1, -1).clone()
    there = torch.ones(count, frames, objects)
    action = torch.zeros(count, dtype=torch.int64)
    if task in ("direction", "speed"):
        axis = torch.arange(count) % 2  # 0: along x, 1: along y
        sign = torch.rand(count, 1, generator=g) < 0.5
        way = time[..., 0] ** 2 if task == "speed" else time[..., 0].expand(count, -1)
        # In 'direction' the even actions are left and up, which run against the axes; 'speed' has all directions.
        way = torch.where(sign, way, 1 - way) if task == "speed" else 1 - way
        margin = 0.9 * radius[..., 0]
        place = margin + (size - 2 * margin) * way
        centre[torch.arange(count), :, 0, axis] = place
        action = 2 * axis if task == "direction" else action
    elif task == "reversed":
        action = 2 * (torch.arange(count) % 2)
        fades = (action == 2)[:, None, None]
        there = torch.where(fades, time, there)
        radius = torch.where(fades, radius, size * (0.08 + 0.22 * time))
    elif task == "order":
        half = torch.arange(frames) < frames // 2
        there = torch.stack([half, ~half], 1).float().expand(count, -1, -1)
    plan["radius"], plan["centre"], plan["exists"] = radius, centre, there
    return action


def _draw_films(plan: dict[str, Tensor], frames: int, size: int) -> Tensor:
    """(B, T, 3, H, W). Ground, light and grain stay the same within a film."""
    timed = ("radius", "centre", "exists")
    parts = []
    for i in range(len(plan["radius"])):
        one = {k: v[i] if k in timed else v[i : i + 1].expand(frames, *v.shape[1:]) for k, v in plan.items()}
        parts.append(_draw(one, size, "photo")[0])
    return torch.stack(parts)


def count_labels(task: str) -> int:
    """How many labels a task has."""
    return {"order": 2, "static": len(COLOURS) * len(SHAPES)}.get(task) or len(ACTIONS[task])
