"""What an optimiser moves when it moves a picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipkit.nn import Strokes

# Correlations of colours in photos, as feature visualisation uses them (Olah et al., 2017): a step in one of these
# directions is a step in light, or between colours that seldom go together.
_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))


class Parametrisation(nn.Module):
    """B pictures as parameters, each moved alone.

    A subclass has `decode`, and `init_from` and `clamp_` where they mean something.
    """

    def decode(self) -> Tensor:
        """`(B, 3, H, W)` in [0, 1]."""
        raise NotImplementedError

    @torch.no_grad()
    def init_from(self, pictures: Tensor) -> None:
        """Sets the parameters so that `decode()` gives these pictures, `(B, 3, H, W)`, as well as it can."""
        raise NotImplementedError

    @torch.no_grad()
    def clamp_(self) -> None:
        """Moves the parameters back to where they mean something; called after each step."""

    def groups(self, lr: float) -> list[dict]:
        """Parameter groups of the optimiser."""
        return [{"params": list(self.parameters()), "lr": lr}]

    def rows(self) -> dict[str, Tensor]:
        """For each parameter, `(rows,)` int64: which picture each of its rows is of."""
        return {name: torch.arange(len(value)) for name, value in self.named_parameters()}


class Pixels(Parametrisation):
    """Each pixel by itself, as a logit.

    Args:
        count, size: B, and height and width.
    """

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(count, 3, *size))

    def decode(self) -> Tensor:
        """`(B, 3, H, W)` in [0, 1]."""
        return self.logits.sigmoid()

    @torch.no_grad()
    def init_from(self, pictures: Tensor) -> None:
        """Exact between 1/255 and 254/255."""
        self.logits.copy_(_logit(pictures))


class Fourier(Parametrisation):
    """Amplitudes of waves, each divided by its frequency, so that a step moves what is coarse more (Olah et al., 2017).

    Args:
        count, size: B, and height and width.
        decorrelate: whether colours are those of photos' principal directions.
        noise: standard deviation of the first amplitudes; 0 begins at grey.
        seed: of the noise.
    """

    scale: Tensor
    colours: Tensor

    def __init__(
        self, count: int, size: tuple[int, int], decorrelate: bool = True, noise: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__()
        height, width = self.size = size
        frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])
        scale = 1 / frequency.clamp(min=1 / max(size)) * (height * width) ** 0.5 / max(size)
        self.register_buffer("scale", scale)
        mix = torch.tensor(_COLOURS) if decorrelate else 0.27 * torch.eye(3)
        self.register_buffer("colours", mix / mix.norm(dim=0).max())
        g = torch.Generator().manual_seed(seed)
        self.waves = nn.Parameter(noise * torch.randn(count, 3, *scale.shape, 2, generator=g))

    def decode(self) -> Tensor:
        """`(B, 3, H, W)` in [0, 1]."""
        waves = torch.view_as_complex(self.waves * self.scale[..., None])
        plain = torch.fft.irfft2(waves, self.size, norm="ortho")
        return torch.einsum("kc,bchw->bkhw", self.colours, plain).sigmoid()

    @torch.no_grad()
    def init_from(self, pictures: Tensor) -> None:
        """Exact between 1/255 and 254/255."""
        plain = torch.einsum("ck,bkhw->bchw", torch.linalg.inv(self.colours), _logit(pictures))
        waves = torch.view_as_real(torch.fft.rfft2(plain, norm="ortho"))
        self.waves.copy_(waves / self.scale[..., None])


class StrokeDrawing(Parametrisation):
    """Strokes of a pen, or of brushes.

    Args:
        strokes: a batch of drawings.
        move: which of points, width, colour, opacity are moved, and how fast in comparison: factors of the rate.
        widths: least and greatest width in pixels.
    """

    def __init__(
        self, strokes: Strokes, move: dict[str, float] | None = None, widths: tuple[float, float] = (0.5, 50.0)
    ) -> None:
        super().__init__()
        self.strokes = strokes
        self.move = {"points": 1.0} if move is None else dict(move)
        self.widths = widths
        for name, parameter in strokes.named_parameters():
            parameter.requires_grad_(name in self.move)

    def decode(self) -> Tensor:
        """`(B, 3, H, W)` in [0, 1]."""
        return self.strokes()

    @torch.no_grad()
    def init_from(self, pictures: Tensor) -> None:
        """Gives each path the colour of the picture where it begins; points stay.

        Raises:
            ValueError: black ink has no colour.
        """
        if self.strokes.colour is None:
            raise ValueError("strokes of black ink take no colours of a picture: give them colour=")
        height, width = self.strokes.size
        resized = F.interpolate(pictures, (height, width), mode="bilinear", antialias=True)
        first = torch.stack([(self.strokes.path == p).nonzero()[0, 0] for p in range(len(self.strokes.width))])
        x, y = self.strokes.points[self.strokes.segments[first, 0]].long().unbind(-1)
        self.strokes.colour.copy_(resized[self.strokes.drawing, :, y.clamp(0, height - 1), x.clamp(0, width - 1)])

    @torch.no_grad()
    def clamp_(self) -> None:
        """Points stay within half a side of the page, widths in `widths`, colours and opacities in [0, 1]."""
        height, width = self.strokes.size
        side = torch.tensor([width, height]).to(self.strokes.points)
        self.strokes.points.copy_(torch.minimum(torch.maximum(self.strokes.points, -side / 2), side * 1.5))
        if "width" in self.move:
            self.strokes.width.clamp_(*self.widths)
        for value in (self.strokes.colour, self.strokes.opacity):
            if value is not None:
                value.clamp_(0, 1)

    def groups(self, lr: float) -> list[dict]:
        """One a kind of parameter."""
        return [{"params": [getattr(self.strokes, name)], "lr": lr * factor} for name, factor in self.move.items()]

    def rows(self) -> dict[str, Tensor]:
        """Points by their path's drawing."""
        s = self.strokes
        of_point = torch.zeros(len(s.points), dtype=torch.int64)
        of_point[s.segments.flatten()] = s.drawing[s.path].repeat_interleave(4)
        return {name: of_point if name == "strokes.points" else s.drawing for name, _ in self.named_parameters()}


def _logit(pictures: Tensor) -> Tensor:
    return torch.logit(pictures.clamp(1 / 255, 254 / 255))
