"""Scenes of the embedded world, rendered in batches on any device from signed-distance tables."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random

import torch
from torch import Tensor

from clipkit.shapes._captions import Caption, Item, full_caption, short_caption, tell
from clipkit.shapes._sdf import EXTENT, RESOLUTION, tables
from clipkit.shapes._stuff import TILE, tiles
from clipkit.shapes._words import COLOURS, SHAPES, STUFF, TEXTURES, seen_compositions

RGB = {
    "red": (0.85, 0.10, 0.10),
    "orange": (0.97, 0.52, 0.08),
    "yellow": (0.97, 0.90, 0.15),
    "green": (0.12, 0.75, 0.20),
    "cyan": (0.15, 0.88, 0.90),
    "blue": (0.12, 0.18, 0.88),
    "purple": (0.62, 0.15, 0.78),
    "white": (0.97, 0.97, 0.97),
}
HAZE = (0.74, 0.78, 0.82)
STYLES = ("photo", "sketch", "night", "noise")
SUBSETS = ("all", "seen", "unseen")
CHUNK_PIXELS = 32 * 64 * 64  # scenes are drawn this many pixels at a time, so that intermediates stay in the cache
TWIN_SEED = 7_919  # twins are drawn apart, so that nothing else about a seed's scenes changes
MIN_VISIBLE = 0.25  # an object of which less than this share can be seen is no object of the scene


@dataclass
class Scenes:
    """A batch of `B` rendered scenes with at most `N` objects each, `K = 102` classes (`class_names()`).

    Attributes:
        images: `(B, 3, H, W)` float32 RGB in [0, 1].
        semantic: `(B, H, W)` int64 class ids; every pixel has one, the background's stuff included.
        instances: `(B, H, W)` int64, 0 for background, n + 1 for object n where it can be seen.
        shape, colour, texture: `(B, N)` int64 indices into SHAPES, COLOURS, TEXTURES.
        centre: `(B, N, 2)` x, y in pixels; radius: `(B, N)` pixels.
        present: `(B, N)` bool: the object exists and at least a quarter of it can be seen.
        stuff: `(B, 2)` int64 indices into STUFF, upper and lower (equal where there is one background).
        seed: what the captions are drawn from.
    """

    images: Tensor
    semantic: Tensor
    instances: Tensor
    shape: Tensor
    colour: Tensor
    texture: Tensor
    centre: Tensor
    radius: Tensor
    present: Tensor
    stuff: Tensor
    seed: int
    _area: Tensor = field(repr=False)

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def boxes(self) -> Tensor:
        """`(B, N, 4)` float32 x1, y1, x2, y2 in pixels around the visible part; zeros for absent objects."""
        count = self.present.shape[1]
        masks = self.instances[:, None] == torch.arange(1, count + 1, device=self.instances.device)[:, None, None]
        sides = []
        for across in (masks.any(2), masks.any(3)):  # columns that hold the object, then rows
            length = across.shape[-1]
            first = across.int().argmax(-1)
            last = length - across.flip(-1).int().argmax(-1)
            sides.append((first, last))
        (x1, x2), (y1, y2) = sides
        boxes = torch.stack([x1, y1, x2, y2], -1).float()
        return boxes * self.present[..., None]

    @cached_property
    def captions(self) -> list[str]:
        """One caption a scene, in varied words: the texts of `tell()`."""
        return [caption.text for caption in self.tell()]

    def tell(self, seed: int | None = None) -> list[Caption]:
        """One caption a scene with its spans: which characters name which object (`Caption`, `Span`).

        Args:
            seed: of the words; None gives those of `captions`, another one tells the same scenes in other words.
        """
        random = Random(self.seed if seed is None else seed)
        return [tell(items, stuff, random) for items, stuff in self._items()]

    @cached_property
    def short_captions(self) -> list[str]:
        """One bare noun phrase a scene."""
        random = Random(self.seed)
        return [short_caption(items, stuff, random) for items, stuff in self._items()]

    @cached_property
    def full_captions(self) -> list[str]:
        """One exhaustive caption a scene, in first words, left to right."""
        return [full_caption(items, stuff) for items, stuff in self._items()]

    def _items(self) -> list[tuple[list[Item], tuple[int, ...]]]:
        side = self.images.shape[-1]
        x, y = (self.centre / side).cpu().unbind(-1)
        columns = (self.shape, self.colour, self.texture, x, y, self.radius / side)
        rows = zip(*(column.tolist() for column in columns))
        scenes = []
        for row, present, stuff in zip(rows, self.present.tolist(), self.stuff.tolist()):
            objects = zip(*row, range(len(present)))
            items = [Item(*values) for values, there in zip(objects, present) if there]
            scenes.append((items, tuple(dict.fromkeys(stuff))))
        return scenes


def render(
    batch: int,
    *,
    size: int = 64,
    seed: int = 0,
    objects: tuple[int, int] = (1, 3),
    split: str | None = "composition",
    subset: str = "all",
    style: str = "photo",
    twins: bool = False,
    device: str | torch.device = "cpu",
) -> Scenes:
    """Renders `batch` scenes of `size` × `size` pixels.

    Equal arguments give equal scenes; another device gives the same scenes up to rounding at edges.

    Args:
        objects: least and greatest number of objects a scene.
        split: 'composition' (colour × shape pairs held out), 'shape' (whole shapes held out) or None.
        subset: which compositions objects are drawn from: 'all', 'seen' or 'unseen' of the split.
        style: 'photo', or a shifted domain: 'sketch', 'night', 'noise'.
        twins: the first two objects have one shape, which no other object has: by their shape alone only a relation to
            a third one tells them apart.

    Raises:
        ValueError: for an unknown word, no scene, a size under 64, objects that are not 1 ≤ least ≤ greatest ≤ 6, or
            twins among fewer than two objects.
    """
    low, high = objects
    if batch < 1:
        raise ValueError(f"batch is {batch}, there must be at least one scene")
    if size < 64:
        raise ValueError(f"size is {size}, scenes need at least 64 pixels")
    if not 1 <= low <= high <= 6:
        raise ValueError(f"objects is {objects}, it must be (least, greatest) with 1 <= least <= greatest <= 6")
    if style not in STYLES:
        raise ValueError(f"style is {style!r}, known: {', '.join(STYLES)}")
    if twins and low < 2:
        raise ValueError(f"objects is {objects}, twins need at least 2 a scene")
    return paint(_plan(batch, size, seed, low, high, _allowed(split, subset), twins), size, style, device, seed)


def paint(plan: dict[str, Tensor], size: int, style: str, device: str | torch.device, seed: int) -> Scenes:
    """The scenes of a plan (see `_plan`), whose objects are painted in their order, the last one in front."""
    device = torch.device(device)
    batch, high = plan["exists"].shape
    plan = {name: value.to(device) for name, value in plan.items()}
    step = max(1, CHUNK_PIXELS // (size * size)) if device.type == "cpu" else max(1, batch)
    parts = [_draw({k: v[i : i + step] for k, v in plan.items()}, size, style) for i in range(0, batch, step)]
    images, semantic, instances, area = (torch.cat(part) for part in zip(*parts))
    counts = torch.zeros(batch, high + 1, dtype=torch.int64, device=device)
    counts.scatter_add_(1, instances.flatten(1), torch.ones_like(instances).flatten(1))
    present = plan["exists"] & (counts[:, 1:] >= MIN_VISIBLE * area) & (counts[:, 1:] > 0)
    fields = {name: plan[name] for name in ("shape", "colour", "texture", "centre", "radius", "stuff")}
    return Scenes(images, semantic, instances, present=present, seed=seed, _area=area, **fields)


def _allowed(split: str | None, subset: str) -> Tensor:
    """Composition ids (colour · 12 + shape) that objects are drawn from."""
    seen = seen_compositions(split).flatten()
    if subset not in SUBSETS:
        raise ValueError(f"subset is {subset!r}, known: {', '.join(SUBSETS)}")
    chosen = {"all": torch.ones_like(seen), "seen": seen, "unseen": ~seen}[subset]
    if not chosen.any():
        raise ValueError(f"split {split!r} has no {subset} compositions")
    return chosen.nonzero().flatten()


def _plan(
    batch: int, size: int, seed: int, low: int, high: int, allowed: Tensor, twins: bool = False
) -> dict[str, Tensor]:
    """Everything random about the scenes, drawn on the CPU so that all devices agree."""
    g = torch.Generator().manual_seed(seed)

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=g)

    composition = allowed[torch.randint(len(allowed), (batch, high), generator=g)]
    if twins:
        composition = _twins(composition, allowed, torch.Generator().manual_seed(seed + TWIN_SEED))
    number = torch.randint(low, high + 1, (batch, 1), generator=g)
    exists = torch.arange(high) < number
    radius = size * torch.where(
        number == 1, uniform(batch, high, low=0.14, high=0.33), uniform(batch, high, low=0.12, high=0.26)
    )
    centre = _place(radius, exists, size, g)
    angle = uniform(batch, high, low=-0.35, high=0.35)
    rgb = torch.tensor([RGB[name] for name in COLOURS])[composition // len(SHAPES)]
    stuff = torch.randint(len(STUFF), (batch, 2), generator=g)
    stuff[:, 1] = torch.where(uniform(batch) < 0.5, stuff[:, 0], stuff[:, 1])
    return {
        "shape": composition % len(SHAPES),
        "colour": composition // len(SHAPES),
        "texture": torch.randint(len(TEXTURES), (batch, high), generator=g),
        "exists": exists,
        "radius": radius,
        "centre": centre,
        "angle": angle,
        "rgb": (rgb + uniform(batch, high, 3, low=-0.06, high=0.06)).clamp(0, 1),
        "stuff": stuff,
        "window": torch.randint(TILE * size, (batch, 2), generator=g),
        "mirror": torch.randint(2, (batch,), generator=g) * 2 - 1,
        "horizon": uniform(batch, 3),
        "light": uniform(batch, 3, low=0.92, high=1.08) * uniform(batch, 1, low=0.75, high=1.15),
        "grain": torch.randint(2**31, (batch,), generator=g),
    }


def _twins(composition: Tensor, allowed: Tensor, g: torch.Generator) -> Tensor:
    """(B, N) compositions in which object 1 has the shape of object 0, and the others have others."""
    same = (allowed % len(SHAPES) == composition[:, :1] % len(SHAPES)).float()  # (B, allowed)
    found = [composition[:, :1], allowed[torch.multinomial(same, 1, generator=g)]]
    if composition.shape[1] > 2:
        found.append(allowed[torch.multinomial(1 - same, composition.shape[1] - 2, replacement=True, generator=g)])
    return torch.cat(found, 1)


def _place(radius: Tensor, exists: Tensor, size: int, g: torch.Generator, tries: int = 8) -> Tensor:
    """(B, N, 2) centres: of eight random layouts the one whose closest pair overlaps least. Some occlusion remains."""
    batch, count = radius.shape
    room = (size - 1.6 * radius)[:, None, :, None]
    layouts = 0.8 * radius[:, None, :, None] + room * torch.rand(batch, tries, count, 2, generator=g)
    gap = torch.cdist(layouts, layouts) / (radius[:, None, :, None] + radius[:, None, None, :])
    both = exists[:, None, :, None] & exists[:, None, None, :] & ~torch.eye(count, dtype=torch.bool)
    closest = gap.masked_fill(~both, torch.inf).flatten(2).amin(2)
    good = closest.clamp(max=0.8)  # beyond 0.8 the layouts are equally good: take the first
    return layouts[torch.arange(batch), good.argmax(1)]


def _draw(plan: dict[str, Tensor], size: int, style: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Paints the scenes back to front; returns images, semantic, instances and each object's area if unoccluded."""
    device = plan["radius"].device
    distances, textures = tables(str(device))
    image, stuff = _background(plan, size)
    if style == "sketch":
        image = torch.full_like(image, 0.95)
    semantic = stuff + len(COLOURS) * len(SHAPES)
    instances = torch.zeros_like(semantic)
    axis = torch.arange(size, device=device) + 0.5
    areas = []
    for n in range(plan["radius"].shape[1]):
        radius, there = plan["radius"][:, n, None, None], plan["exists"][:, n, None, None]
        cos, sin = torch.cos(plan["angle"][:, n, None, None]), torch.sin(plan["angle"][:, n, None, None])
        dx, dy = axis - plan["centre"][:, n, 0, None, None], (axis - plan["centre"][:, n, 1, None])[..., None]
        scale = RESOLUTION / (2 * EXTENT) / radius  # pixels of the scene to cells of the table
        half = RESOLUTION / 2
        column = (cos * scale * dx + half + sin * scale * dy).clamp_(0, RESOLUTION - 1).int()
        row = (half - sin * scale * dx + cos * scale * dy).clamp_(0, RESOLUTION - 1).int()
        cell = row.mul_(RESOLUTION).add_(column)
        square = RESOLUTION * RESOLUTION
        shape, texture = plan["shape"][:, n, None, None].int(), plan["texture"][:, n, None, None].int()
        depth = distances[cell + shape * square].mul_(radius)  # pixels, negative inside
        alpha = (0.5 - depth).clamp_(0, 1).mul_(there)
        bright = textures[cell.add_(texture * square)]
        colour = plan["rgb"][:, n, :, None, None] * (0.42 + 0.58 * bright)[:, None]
        if "haze" in plan:
            colour = torch.lerp(colour, colour.new_tensor(HAZE)[:, None, None], plan["haze"][:, n, None, None, None])
        if style == "sketch":
            line = (1.5 - (depth + 1.0).abs()).clamp_(0, 1)
            alpha_ink = (alpha * (0.06 + 0.94 * torch.maximum(line, 0.4 * (1 - bright))))[:, None]
            image = image * (1 - alpha[:, None]) + 0.95 * alpha[:, None]
            image += alpha_ink * (plan["rgb"][:, n, :, None, None] * 0.8 - 0.95)
        else:
            image += alpha[:, None] * colour.sub_(image)
        inside = alpha > 0.5
        areas.append(inside.flatten(1).sum(1))
        composition = plan["colour"][:, n] * len(SHAPES) + plan["shape"][:, n]
        semantic = torch.where(inside, composition[:, None, None], semantic)
        instances.masked_fill_(inside, n + 1)
    return _finish(image, plan, style), semantic, instances, torch.stack(areas, 1)


def _background(plan: dict[str, Tensor], size: int) -> tuple[Tensor, Tensor]:
    """One stuff, or two that meet in a wavy horizon: image (B, 3, H, W) and stuff index (B, H, W)."""
    device = plan["window"].device
    tile, side = tiles(size, str(device)), TILE * size
    steps = torch.arange(size, device=device)
    y = (plan["window"][:, 0, None] + steps) % side
    x = (plan["window"][:, 1, None] + plan["mirror"][:, None] * steps) % side
    level, wave, phase = plan["horizon"].T[..., None]
    horizon = size * (0.3 + 0.4 * level + 0.06 * wave * torch.sin(2 * math.pi * (phase + 1.5 * steps / size)))
    lower = steps[:, None] >= horizon[:, None, :]
    stuff = torch.where(lower, plan["stuff"][:, 1, None, None], plan["stuff"][:, 0, None, None])
    cell = stuff * (side * side) + (y * side)[:, :, None] + x[:, None, :]
    image = tile.view(-1, 3).index_select(0, cell.flatten()).view(*cell.shape, 3)
    return image.movedim(-1, 1).contiguous(), stuff


def _finish(image: Tensor, plan: dict[str, Tensor], style: str) -> Tensor:
    """Light, and for shifted styles what the camera did to the picture."""
    if style == "sketch":
        return image.clamp_(0, 1)
    image *= plan["light"][:, :, None, None]
    if style == "night":
        image *= image.new_tensor([0.22, 0.25, 0.38])[:, None, None]
        image += 0.03
    sigma = {"photo": 0.015, "night": 0.03, "noise": 0.16}[style]
    return image.add_(sigma * _grain(plan["grain"], image.shape[1:])).clamp_(0, 1)


def _grain(seeds: Tensor, shape: Sequence[int]) -> Tensor:
    """(B, *shape) noise of unit variance, uniform: a hash of (scene, pixel), hence equal on every device and in every
    batch. The constants are those of the integer hash "lowbias32" (Wellons, 2018), cut to what int64 holds."""
    index = torch.arange(math.prod(shape), device=seeds.device)
    h = (seeds[:, None] + index * 2654435769) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    h = h ^ (h >> 15)
    return ((h.float() * (1 / 2**32)) - 0.5).mul_(math.sqrt(12)).view(-1, *shape)
