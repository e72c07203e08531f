"""The world's renderer as a generator whose every latent has a gradient: one object on a ground that stays."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipkit.shapes._sdf import EXTENT, RESOLUTION, tables
from clipkit.shapes._words import COLOURS, SHAPES
from clipkit.shapes.render import RGB, Scenes, _allowed, _background, _grain, _plan, paint

LATENTS = ("red", "green", "blue", "radius", "x", "y", "angle", *SHAPES)
"""What the channels are: colour in [0, 1], radius as the logarithm of its share of the side, centre in sides, angle in
radians, and a logit of each shape."""
FACTORS = {
    "colour": slice(0, 3),
    "radius": slice(3, 4),
    "place": slice(4, 6),
    "angle": slice(6, 7),
    "shape": slice(7, 19),
}
SPREADS = (*3 * (0.3,), 0.2, *2 * (0.1,), 0.2, *len(SHAPES) * (4.0,))
_SURE = 8.0  # the logit of what a scene's shape is, over 0 for the others: 0.996 of it is drawn
_GRAIN = 0.015  # of the renderer's photos


class SoftScenes(nn.Module):
    """`count` scenes of one object each, those of `render(count, objects=(1, 1), ...)`, as functions of latents.

    Args:
        count, size, seed: see `render`.
        edge: pixels over which an edge's gradient is spread; what is drawn has the renderer's own edges, half a pixel
            to both sides, whose gradient alone sees nothing further away.

    Attributes:
        scenes: what the renderer itself makes of them, with all that is true of them.
        start: `(count, 19)` their latents, see `LATENTS`.
        spread: `(19,)` how far each channel lies apart among scenes, about one standard deviation.
        factors: which channels belong together.
    """

    factors = FACTORS
    start: Tensor
    spread: Tensor
    ground: Tensor
    grain: Tensor
    light: Tensor
    texture: Tensor

    def __init__(self, count: int, *, size: int = 64, seed: int = 0, edge: float = 3.0) -> None:
        super().__init__()
        plan = _plan(count, size, seed, 1, 1, _allowed(None, "all"))
        self.size, self.edge = size, edge
        self.scenes: Scenes = paint(plan, size, "photo", "cpu", seed)
        _, textures = tables("cpu")
        self.register_buffer("spread", torch.tensor(SPREADS))
        self.register_buffer("ground", _background(plan, size)[0])
        self.register_buffer("grain", _GRAIN * _grain(plan["grain"], (3, size, size)))
        self.register_buffer("light", plan["light"][:, :, None, None])
        self.register_buffer("texture", textures.view(-1, RESOLUTION, RESOLUTION)[plan["texture"][:, 0]])
        shape = _SURE * F.one_hot(plan["shape"][:, 0], len(SHAPES)).float()
        place = plan["centre"][:, 0] / size
        start = [plan["rgb"][:, 0], (plan["radius"] / size).log(), place, plan["angle"], shape]
        self.register_buffer("start", torch.cat(start, 1))

    def forward(self, latents: Tensor) -> Tensor:
        """Pictures `(count · k, 3, H, W)` in [0, 1].

        Args:
            latents: `(count · k, 19)`, k of each scene side by side.
        """
        copies = len(latents) // len(self.start)
        ground, grain, light, texture = (
            fixed.repeat_interleave(copies, 0) for fixed in (self.ground, self.grain, self.light, self.texture)
        )
        depth, grid = self._depth(latents)
        bright = _sample(texture, grid.detach(), "nearest")[:, None]
        colour = latents[:, :3, None, None] * (0.42 + 0.58 * bright)
        picture = (ground + _covered(depth, self.edge)[:, None] * (colour - ground)) * light + grain
        return picture + (picture.clamp(0, 1) - picture).detach()

    def _depth(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, H, W)` signed distance to the object in pixels, and `(B, H, W, 2)` each pixel's place in the tables."""
        radius = latents[:, 3].exp() * self.size
        axis = torch.arange(self.size, device=latents.device) + 0.5
        x, y = (latents[:, 4:6] * self.size).unbind(1)
        dx, dy = axis - x[:, None, None], axis[:, None] - y[:, None, None]
        cos, sin = ((f(latents[:, 6]) / (EXTENT * radius))[:, None, None] for f in (torch.cos, torch.sin))
        grid = torch.stack([cos * dx + sin * dy, cos * dy - sin * dx], -1)
        distances, _ = tables(str(latents.device))
        field = latents[:, FACTORS["shape"]].softmax(1) @ distances.view(len(SHAPES), -1).to(latents)
        depth = _sample(field.view(-1, RESOLUTION, RESOLUTION), grid, "bilinear") * radius[:, None, None]
        return depth, grid

    @torch.no_grad()
    def clamp_(self, latents: Tensor) -> None:
        """Colours into [0, 1], radii and centres to where an object can be seen."""
        latents[:, :3].clamp_(0, 1)
        latents[:, 3].clamp_(math.log(0.05), math.log(0.5))
        latents[:, 4:6].clamp_(0, 1)

    @torch.no_grad()
    def named(self, latents: Tensor) -> dict[str, Tensor]:
        """What latents are in words: `colour` the nearest in RGB, `shape` the likeliest; `(B,)` int64 each."""
        known = torch.tensor([RGB[name] for name in COLOURS]).to(latents)
        return {
            "colour": torch.cdist(latents[:, FACTORS["colour"]], known).argmin(1),
            "shape": latents[:, FACTORS["shape"]].argmax(1),
        }

    @torch.no_grad()
    def kept(self, latents: Tensor) -> dict[str, Tensor]:
        """For each factor `(count,)` bool, whether it is still that of the scenes: colour and shape by their names, the
        radius within a fifth, the centre within a sixteenth of the side, the angle within 20 degrees."""
        now, then = self.named(latents), self.named(self.start)
        moved = latents - self.start
        return {
            **{name: now[name] == then[name] for name in now},
            "radius": (moved[:, 3].exp() - 1).abs() <= 0.2,
            "place": moved[:, 4:6].norm(dim=1) <= 1 / 16,
            "angle": moved[:, 6].abs() <= math.radians(20),
        }

    @torch.no_grad()
    def painted(self, shape: int) -> Tensor:
        """`(8, 3, H, W)` a single scene with its object in another shape, in each of COLOURS."""
        latents = self.start.repeat(len(COLOURS), 1)
        latents[:, FACTORS["colour"]] = torch.tensor([RGB[name] for name in COLOURS]).to(latents)
        latents[:, FACTORS["shape"]] = _SURE * F.one_hot(torch.tensor(shape), len(SHAPES)).to(latents)
        return self(latents)

    @torch.no_grad()
    def mask(self, shape: int) -> Tensor:
        """`(1, H, W)` bool, where that object is."""
        latents = self.start.clone()
        latents[:, FACTORS["shape"]] = _SURE * F.one_hot(torch.tensor(shape), len(SHAPES)).to(latents)
        return self._depth(latents)[0] < 0


def _sample(table: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(table[:, None], grid, mode=mode, padding_mode="border", align_corners=False)[:, 0]


def _covered(depth: Tensor, edge: float) -> Tensor:
    drawn = (0.5 - depth).clamp(0, 1)
    if not edge:
        return drawn
    blurred = torch.sigmoid(-2.5 / edge * depth)
    return blurred + (drawn - blurred).detach()
