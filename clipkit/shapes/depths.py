"""Scenes with depth: objects of different sizes at one to three metres, nearer ones before farther ones, in haze."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

import torch
from torch import Tensor

from clipkit.shapes._captions import Caption, Item, _ground, _join, _name, _phrase
from clipkit.shapes._words import STUFF
from clipkit.shapes.render import Scenes, _allowed, _place, _plan, paint

NEAR, FAR = 1.0, 3.0
"""Metres between which objects stand."""
DISTANCE_WORDS = ("very close", "close", "quite close", "at middle distance", "quite far", "far", "very far")
DISTANCES = (1.0, 1.5, 2.0, 2.25, 2.5, 2.75, 3.0)
"""Metres that the words stand for, those of DepthCLIP's bins (Zhang et al. 2022): of a distance the nearest is said."""
RADIUS = 0.3  # in scene sides, of an object of middle size at one metre
OWN_SIZE = 0.35  # objects are larger or smaller by up to this share: how large one looks does not tell how far it is
HAZE_PER_METRE = 0.55
UNSAID = 0.2  # a radius that captions call neither small nor large: what looks small may be far
DEPTH_SEED = 15_485_863  # distances are drawn apart from what else is random in a scene


@dataclass
class DepthScenes(Scenes):
    """Scenes whose objects have distances.

    Attributes:
        distance: `(B, N)` metres from NEAR to FAR, falling: the last object of a scene is the nearest, and is painted
            over the others.
    """

    distance: Tensor

    @cached_property
    def depth(self) -> Tensor:
        """`(B, H, W)` float32 metres; 0, which stands for "not measured", where there is no object."""
        metres = torch.cat([torch.zeros_like(self.distance[:, :1]), self.distance], 1)
        return metres.gather(1, self.instances.flatten(1)).view(self.instances.shape)

    @property
    def words(self) -> Tensor:
        """`(B, N)` int64 indices into DISTANCE_WORDS."""
        return (self.distance[..., None] - self.distance.new_tensor(DISTANCES)).abs().argmin(-1)

    def tell(self, seed: int | None = None) -> list[Caption]:
        """One caption a scene, which says of each object that it names how far it is; see `Scenes.tell`."""
        random = Random(self.seed if seed is None else seed)
        told = []
        for (items, stuff), words in zip(self._items(), self.words.tolist()):
            told.append(_tell(items, [DISTANCE_WORDS[words[item.place]] for item in items], stuff, random))
        return told


def depth_scenes(
    batch: int,
    *,
    size: int = 64,
    seed: int = 0,
    objects: tuple[int, int] = (2, 3),
    split: str | None = "composition",
    subset: str = "all",
    device: str | torch.device = "cpu",
) -> DepthScenes:
    """Renders `batch` scenes of `size` × `size` pixels. Size, occlusion and haze tell of an object's distance; none of
    them does so alone.

    Args:
        objects: least and greatest number of objects a scene.
        split, subset: see `render`.

    Raises:
        ValueError: as `render` does.
    """
    low, high = objects
    if batch < 1 or size < 64 or not 1 <= low <= high <= 6:
        raise ValueError(f"{batch} scenes of {size} pixels with {objects} objects: see clipkit.shapes.render")
    plan = _plan(batch, size, seed, low, high, _allowed(split, subset))
    g = torch.Generator().manual_seed(seed + DEPTH_SEED)
    distance = NEAR + (FAR - NEAR) * torch.rand(batch, high, generator=g)
    distance = distance.masked_fill(~plan["exists"], 0).sort(1, descending=True).values.clamp(min=NEAR)
    own = 1 + OWN_SIZE * (2 * torch.rand(batch, high, generator=g) - 1)
    plan["radius"] = RADIUS * size * own / distance
    plan["centre"] = _place(plan["radius"], plan["exists"], size, g)
    plan["haze"] = 1 - torch.exp(-HAZE_PER_METRE * (distance - NEAR))
    scenes = paint(plan, size, "photo", device, seed)
    return DepthScenes(**vars(scenes), distance=distance.to(scenes.images.device))


def depth_windows(batch: int, *, window: int = 32, seed: int = 0, **options: Any) -> tuple[Tensor, list[str]]:
    """Windows cut around a random point of the one object of a scene, at its own scale, so that what a few patches see
    must tell how far it is: near objects fill a window, of far ones all is in it.

    Args:
        window: side of a window in pixels.
        **options: of `depth_scenes`, but for `objects`.

    Returns:
        images (batch, 3, window, window) float32 RGB in [0, 1], and captions such as "this object is far".
    """
    scenes = depth_scenes(batch, seed=seed, objects=(1, 1), **options)
    side = scenes.images.shape[-1]
    inside = (scenes.instances == 1).flatten(1).float()
    inside[inside.sum(1) == 0] = 1
    at = torch.multinomial(inside, 1, generator=torch.Generator().manual_seed(seed))[:, 0]
    corners = (torch.stack([at // side, at % side], 1) - window // 2).clamp(0, side - window).tolist()
    images = [image[:, y : y + window, x : x + window] for image, (y, x) in zip(scenes.images, corners)]
    return torch.stack(images), [f"this object is {DISTANCE_WORDS[word]}" for word in scenes.words[:, 0].tolist()]


def _tell(items: list[Item], words: list[str], stuff: tuple[int, ...], random: Random) -> Caption:
    if len(items) == 1 and random.random() < 0.5:
        return _join("this ", _name("object", items[0].place), f" is {words[0]}")
    parts: list[str | Caption] = []
    for item, word in zip(items, words):
        item.radius = UNSAID
        parts += [" and " if parts else "", _phrase(item, random), f" {word}"]
    if random.random() < 0.2:
        parts += [" on ", _ground(STUFF[random.choice(stuff)], random)]
    return _join(*parts)
