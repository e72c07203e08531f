"""Edits in the latents of a style generator (StyleCLIP: Patashnik et al., ICCV 2021, arXiv:2103.17249)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clipkit.backbone import FrozenCLIP
from clipkit.errors import ClipkitError
from clipkit.optimise import ClipLoss, Optimised, Parametrisation, optimise

_LEAST_STEP = 0.05  # of the rate, where it rises


class StyleGenerator(Protocol):
    """What edits need of a generator; `clipkit.shapes.soft.SoftScenes` is one.

    Attributes:
        spread: `(C,)` how far each channel lies apart among its pictures: latents are moved in this unit.
        factors: channels that belong together: an edit moves few of these, not a little of each.
    """

    spread: Tensor
    factors: Mapping[str, slice]

    def __call__(self, latents: Tensor) -> Tensor:
        """`(B, C)` -> `(B, 3, H, W)` in [0, 1]."""

    def clamp_(self, latents: Tensor) -> None:
        """Moves latents back to where they mean something."""


class StyleLatents(Parametrisation):
    """Latents of a generator, as far as they have moved.

    Args:
        generator: what draws them.
        start: `(B, C)` where they begin.
    """

    start: Tensor

    def __init__(self, generator: StyleGenerator, start: Tensor) -> None:
        super().__init__()
        self.generator = generator
        self.register_buffer("start", start.clone())
        self.moved = nn.Parameter(torch.zeros_like(start))

    def latents(self) -> Tensor:
        """`(B, C)`."""
        return self.start + self.moved * self.generator.spread

    def decode(self) -> Tensor:
        """`(B, 3, H, W)` in [0, 1]."""
        return self.generator(self.latents())

    @torch.no_grad()
    def clamp_(self) -> None:
        """As the generator has it."""
        latents = self.latents()
        self.generator.clamp_(latents)
        self.moved.copy_((latents - self.start) / self.generator.spread)


class Edited(NamedTuple):
    """Attributes:
    latents: `(1, C)` the best.
    picture: `(1, 3, H, W)` in [0, 1].
    loss: what was made small: CLIP's part and what was paid for moving.
    tries: `(restarts, C)` where each restart ended.
    found: what `optimise` says.
    """

    latents: Tensor
    picture: Tensor
    loss: float
    tries: Tensor
    found: Optimised


def rise_and_fall(share: float) -> float:
    """A factor of the rate: it rises over the first twentieth of the steps and falls as a cosine over the second half
    (the release falls over the last quarter)."""
    return min(1.0, share / 0.05 + _LEAST_STEP) * (1.0 if share < 0.5 else 0.5 * (1 - math.cos(2 * math.pi * share)))


def distance_moved(
    generator: StyleGenerator, latents: Tensor, start: Tensor, keep: str = "factors", half: float = 0.1
) -> Tensor:
    """`(B,)` what moving costs, in units of the generator's spread.

    - `factors`: Σ over factors of q/(half + q), q = ‖Δ‖²: a small move is drawn back; a factor that has left pays 1,
      however far it goes. A cost that grows with the way stops an edit halfway, where CLIP already names it.
    - `squares`: Σ Δ² (StyleCLIP, equation 1).

    Raises:
        ClipkitError: another word.
    """
    moved = (latents - start) / generator.spread
    if keep == "squares":
        return moved.square().sum(1)
    if keep != "factors":
        raise ClipkitError(f'keep="{keep}" is unknown; known: factors, squares')
    far = torch.stack([moved[:, channels].square().sum(1) for channels in generator.factors.values()])
    return (far / (half + far)).sum(0)


def edit_latents(
    clip: FrozenCLIP,
    generator: StyleGenerator,
    start: Tensor,
    to: str,
    base: str,
    *,
    distance: str = "direction",
    keep: str = "factors",
    keep_weight: float = 0.1,
    half: float = 0.1,
    draws: int = 60,
    restarts: int = 3,
    jitter: float = 1.5,
    jittered: Sequence[str] | None = None,
    steps: int = 40,
    lr: float = 0.1,
    seed: int = 0,
    **options: Any,
) -> Edited:
    """Latent optimisation (section 4): moves the latents of one picture until CLIP says `to` of it instead of `base`.

    CLIP's loss has many minima in the latents. So `draws` starts are looked at, the given one and others of which one
    factor is jittered, and the `restarts` of least loss are moved. One start is the release.

    Args:
        start: `(1, C)`, what the picture is now.
        distance: see `clipkit.optimise.ClipLoss`.
        keep, keep_weight, half: see `distance_moved`.
        draws, restarts: see above.
        jitter: standard deviation of the starts, in units of the generator's spread.
        jittered: factors of which starts are drawn; default all.
        steps, lr: of Adam; lr in units of the spread.
        options: of `clipkit.optimise.optimise`: every, checkpoint, film, progress, schedule.

    Raises:
        ClipkitError: a factor that the generator does not have.
    """
    names = list(generator.factors) if jittered is None else list(jittered)
    if unknown := sorted(set(names) - set(generator.factors)):
        raise ClipkitError(f"the generator has no factor {unknown[0]}; known: {', '.join(generator.factors)}")
    toward = ClipLoss(clip, [to], distance=distance, base=base)
    with torch.no_grad():
        source = generator(start)

    def losses(pictures: Tensor, latents: Tensor) -> dict[str, Tensor]:
        moved = distance_moved(generator, latents, start, keep, half)
        return {**toward(pictures, source=source), "moved": keep_weight * moved}

    g = torch.Generator().manual_seed(seed)
    first = start.repeat(draws, 1)
    for draw in range(1, draws):
        channels = generator.factors[names[draw % len(names)]]
        width = first[draw, channels].shape
        first[draw, channels] += jitter * torch.randn(width, generator=g) * generator.spread[channels]
    generator.clamp_(first)
    with torch.no_grad():
        values = torch.cat([sum(losses(generator(part), part).values()) for part in first.split(32)])  # type: ignore[misc]
    latents = StyleLatents(generator, first[values.topk(min(restarts, draws), largest=False).indices])
    found = optimise(
        latents,
        lambda pictures: losses(pictures, latents.latents()),
        steps=steps,
        lr=lr,
        **{"schedule": rise_and_fall, **options},
    )
    best = int(found.loss.argmin())
    tries = latents.latents().detach()
    return Edited(tries[best : best + 1], found.pictures[best : best + 1], float(found.loss[best]), tries, found)


@torch.no_grad()
def channel_directions(clip: FrozenCLIP, generator: StyleGenerator, latents: Tensor, step: float = 1.0) -> Tensor:
    """`(C, D)` where each channel moves pictures in CLIP's space: the mean over pictures of the unit difference between
    a channel `step` spreads above and below (section 6). Once for a generator.

    Args:
        latents: `(N, C)` of the generator's pictures; more are better.
    """
    rows = []
    for channel in range(latents.shape[1]):
        by = torch.zeros_like(latents)
        by[:, channel] = step * generator.spread[channel]
        apart = clip.encode_image(generator(latents + by)) - clip.encode_image(generator(latents - by))
        rows.append(F.normalize(apart, dim=-1).mean(0))
    return torch.stack(rows)


@torch.no_grad()
def global_direction(
    clip: FrozenCLIP, channels: Tensor, spread: Tensor, to: str, base: str, threshold: float = 0.1
) -> Tensor:
    """`(C,)` one way for all pictures: of each channel its part along the words' direction, 0 where that is below
    `threshold`; the greatest move is one spread (section 6).

    Args:
        channels: `(C, D)`, of `channel_directions`.

    Raises:
        ClipkitError: no channel reaches the threshold.
    """
    words = clip.encode_text([to]) - clip.encode_text([base])
    part = (channels @ F.normalize(words, dim=-1)[0].to(channels)).cpu()
    part = torch.where(part.abs() >= threshold, part, 0)
    if not part.any():
        raise ClipkitError(f'no channel moves towards "{to}" by {threshold}; lower the threshold')
    return part / part.abs().max() * spread
