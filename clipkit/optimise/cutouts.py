"""Many warped copies of a picture by one sampling: what keeps a picture from being made for one pixel grid alone."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_GREY = (0.2989, 0.587, 0.114)


class Cutouts:
    """`copies` of each picture, `size` × `size`: turned and sheared, seen askew, cropped, in one `grid_sample` for the
    whole batch; then in other light, with a rectangle missing, with noise. Each is torchvision's own operation (tested
    one by one); together they are sampled once, not once each.

    Args:
        size: side of the copies in pixels, CLIP's `image_size`.
        copies: how many of each picture.
        perspective: of `RandomPerspective`, 0 to 1: how far corners move inwards, as a share of half a side.
        crop: least and greatest share of the area that `RandomResizedCrop` keeps, square as the picture is.
        degrees, translate, shear: of `RandomAffine`: greatest angle, shift as a share of a side, shear in degrees.
        jitter: of `ColorJitter`: brightness, contrast and saturation by up to this factor more or less.
        erase: least and greatest area of the rectangle of `RandomErasing`, as a share; it becomes 0.
        noise: Gaussian noise of up to this standard deviation.
        chance: of each of affine, perspective, jitter and erasing, a copy.
        fill: what lies outside of the picture.
        plain: leave the first copy of each as it is, resized.
        seed: of the generator of its own, `generator`, whose state a checkpoint keeps.

    >>> cutouts = Cutouts(224, 4, plain=True)
    >>> drawn, aimed_at = cutouts(pictures, targets)   # (B, 3, H, W) each -> (B * 4, 3, 224, 224), warped alike
    """

    def __init__(
        self,
        size: int,
        copies: int,
        *,
        perspective: float = 0.5,
        crop: tuple[float, float] = (0.7, 0.9),
        degrees: float = 0.0,
        translate: float = 0.0,
        shear: float = 0.0,
        jitter: float = 0.0,
        erase: tuple[float, float] = (0.0, 0.0),
        noise: float = 0.0,
        chance: float = 1.0,
        fill: float = 1.0,
        plain: bool = False,
        seed: int = 0,
    ) -> None:
        self.size, self.copies, self.plain, self.fill = size, copies, plain, fill
        self.perspective, self.crop = perspective, crop
        self.degrees, self.translate, self.shear = degrees, translate, shear
        self.jitter, self.erase, self.noise, self.chance = jitter, erase, noise, chance
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *pictures: Tensor) -> tuple[Tensor, ...]:
        """Draws one warp a copy and applies it to all of `pictures`, each `(B, 3, H, W)`: `(B · copies, 3, size, size)`
        each, the copies of a picture side by side.

        Raises:
            ValueError: pictures of different shapes.
        """
        if len({picture.shape for picture in pictures}) != 1:
            raise ValueError(f"one warp for all needs pictures of one shape, got {[tuple(p.shape) for p in pictures]}")
        batch = len(pictures[0])
        height, width = pictures[0].shape[-2:]
        # A row: angle, shift 2, shear 2 | corners 8 | area, place 2 | chances of both warps | light 3, chance |
        # rectangle 4, chance | noise
        random = torch.rand(batch * self.copies, 28, generator=self.generator, dtype=torch.float64)
        warp = self._warp(random, height, width)
        light, kept = self._light(random[:, 18:22]), self._kept(random[:, 22:27])
        noise = None
        if self.noise:
            shape = (batch * self.copies, 3, self.size, self.size)
            noise = self.noise * random[:, 27, None, None, None].float() * torch.randn(shape, generator=self.generator)
        return tuple(self._apply(picture, warp, light, kept, noise) for picture in pictures)

    def _happens(self, random: Tensor) -> Tensor:
        happens = random < self.chance
        if self.plain:
            happens = happens & (torch.arange(len(random)) % self.copies != 0)
        return happens

    def _warp(self, random: Tensor, height: int, width: int) -> Tensor:
        """`(N, 3, 3)` from a copy's pixels to the picture's, float64."""
        spread = 2 * random - 1
        shift = torch.tensor([width, height]) * self.translate
        turn = affine(spread[:, 0] * self.degrees, spread[:, 1:3] * shift, spread[:, 3:5] * self.shear, height, width)
        corners = torch.tensor([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=torch.float64)
        inwards = torch.tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]], dtype=torch.float64)
        reach = torch.tensor([width, height]) / 2 * self.perspective
        askew = homography(corners + inwards * reach * random[:, 5:13].unflatten(1, (4, 2)), corners)
        low, high = self.crop
        side = (low + (high - low) * random[:, 13:14]).sqrt()
        size = side * torch.tensor([width, height])
        cut = crop(random[:, 14:16] * (1 - side) * torch.tensor([width, height]), size, self.size)
        whole = crop(torch.zeros(1, 2).double(), torch.tensor([[width, height]]).double(), self.size).expand_as(cut)
        one = torch.eye(3, dtype=torch.float64)
        turn, askew = (
            torch.where(self._happens(random[:, place])[:, None, None], matrix, one)
            for matrix, place in ((turn, 16), (askew, 17))
        )
        first = torch.arange(len(random)) % self.copies == 0
        cut = torch.where((first & self.plain)[:, None, None], whole, cut)
        return turn @ askew @ cut

    def _light(self, random: Tensor) -> Tensor | None:
        """`(N, 3)` factors of brightness, contrast and saturation."""
        factors = 1 + self.jitter * (2 * random[:, :3] - 1)
        factors = torch.where(self._happens(random[:, 3])[:, None], factors, 1.0)
        return factors.float() if self.jitter else None

    def _kept(self, random: Tensor) -> Tensor | None:
        """`(N, 1, S, S)` 0 where a rectangle is missing."""
        low, high = self.erase
        if not high:
            return None
        area = low + (high - low) * random[:, 0]
        ratio = torch.exp((2 * random[:, 1] - 1) * math.log(0.3))  # torchvision's 0.3 to 1/0.3
        sides = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], -1).clamp(max=1)  # height, width
        start = random[:, 2:4] * (1 - sides)
        axis = (torch.arange(self.size) + 0.5) / self.size
        inside = (axis > start[..., None]) & (axis < (start + sides)[..., None])  # (N, 2, S)
        missing = inside[:, 0, :, None] & inside[:, 1, None, :] & self._happens(random[:, 4])[:, None, None]
        return (~missing).float()[:, None]

    def _apply(
        self, picture: Tensor, warp: Tensor, light: Tensor | None, kept: Tensor | None, noise: Tensor | None
    ) -> Tensor:
        copies = sample(picture, warp, self.size, self.fill)
        if light is not None:
            copies = relight(copies, light.to(copies))
        if kept is not None:
            copies = copies * kept.to(copies)
        if noise is not None:
            copies = copies + noise.to(copies)
        if light is not None or noise is not None:  # in range for CLIP, with the whole gradient
            copies = copies + (copies.clamp(0, 1) - copies).detach()
        return copies


def sample(picture: Tensor, warp: Tensor, size: int, fill: float) -> Tensor:
    """`(B, 3, H, W)` at `(B · n, 3, 3)` maps from a copy's pixels to its own: `(B · n, 3, size, size)`, bilinear."""
    batch, channels, height, width = picture.shape
    if min(height, width) > 1.5 * size:  # a bilinear sample of a larger picture would skip pixels
        smaller = [round(side * size / min(height, width)) for side in (height, width)]
        picture = F.interpolate(picture, smaller, mode="bilinear", antialias=True)
    scale = torch.tensor([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]], dtype=torch.float64)
    maps = (scale @ warp).to(picture)
    axis = torch.arange(size, device=picture.device, dtype=picture.dtype) + 0.5
    # x and y apart: the sum of a row's part and a column's, instead of a product for each pixel.
    x, y, w = (
        maps[:, i, 0, None, None] * axis + (maps[:, i, 1:2] * axis + maps[:, i, 2:3])[..., None] for i in range(3)
    )
    grid = torch.stack([x / w, y / w], -1).view(batch, -1, size, 2)  # a picture's copies below each other
    copies = F.grid_sample(picture - fill, grid, align_corners=False) + fill
    return copies.unflatten(2, (-1, size)).transpose(1, 2).reshape(-1, channels, size, size)


def relight(pictures: Tensor, factors: Tensor) -> Tensor:
    """Brightness, then contrast, then saturation by `factors (N, 3)`, as torchvision has them before it clamps: linear
    in a pixel's colours, so one matrix a picture."""
    grey = torch.tensor(_GREY).to(pictures)
    bright, contrast, colourful = factors[:, :, None, None].unbind(1)  # (N, 1, 1) each
    mean = torch.einsum("nchw,c->n", pictures, grey)[:, None, None] / pictures[0, 0].numel() * bright
    keep = colourful * torch.eye(3).to(pictures) + (1 - colourful) * grey.expand(3, 3)
    lit = ((contrast * bright * keep) @ pictures.flatten(2)).view_as(pictures)
    return lit + ((1 - contrast) * mean)[..., None]


def affine(angle: Tensor, shift: Tensor, shear: Tensor, height: int, width: int) -> Tensor:
    """`(N, 3, 3)` from pixels of the turned picture to those of the given one: torchvision's `affine` about the centre.

    Args:
        angle: `(N,)` degrees; shift: `(N, 2)` pixels; shear: `(N, 2)` degrees along x and y.
    """
    turn, (lean_x, lean_y) = torch.deg2rad(angle), torch.deg2rad(shear).unbind(-1)
    a, c = torch.cos(turn - lean_y) / torch.cos(lean_y), torch.sin(turn - lean_y) / torch.cos(lean_y)
    b, d = -a * torch.tan(lean_x) - torch.sin(turn), -c * torch.tan(lean_x) + torch.cos(turn)
    back = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2)  # its determinant is 1
    middle = torch.tensor([width, height]).double() / 2
    out = torch.eye(3, dtype=torch.float64).repeat(len(angle), 1, 1)
    out[:, :2, :2] = back
    out[:, :2, 2] = middle - (back @ (middle + shift)[..., None])[..., 0]
    return out


def homography(start: Tensor, end: Tensor) -> Tensor:
    """`(N, 3, 3)` that takes four points `start (N, 4, 2)` to `end (N or 1, 4, 2)`: what torchvision's `perspective`
    samples with, from where corners come to be seen to where they were."""
    end = end.expand_as(start)
    (x, y), (u, v) = start.unbind(-1), end.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    solved = torch.linalg.solve(torch.cat([rows_u, rows_v], 1), torch.cat([u, v], 1))
    return torch.cat([solved, one[:, :1]], 1).view(-1, 3, 3)


def crop(corner: Tensor, sides: Tensor, size: int) -> Tensor:
    """`(N, 3, 3)` from `size` × `size` pixels to a box at `corner (N, 2)` x, y with `sides (N, 2)`."""
    out = torch.zeros(len(corner), 3, 3, dtype=torch.float64)
    out[:, [0, 1], [0, 1]] = sides / size
    out[:, :2, 2] = corner
    out[:, 2, 2] = 1
    return out
