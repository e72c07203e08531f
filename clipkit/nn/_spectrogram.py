"""Sound as a picture of its frequencies over time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LogMel(nn.Module):
    """Mel spectrogram in logarithms: Hann windows, power, triangles of peak 1 that are equally far apart on HTK's mel
    scale, log10 of at least 1e-10; standardised over each clip.

    Args:
        rate: samples a second of what comes in.
        window, hop: samples; a frame is centred on every `hop`-th sample, with silence around the clip.
        bands: how many, between `low` and `high` Hz (None: half the rate).
        standardise: mean 0 and deviation 1 over a clip's bands and frames.

    Raises:
        ValueError: a band without a frequency: the window is too short for so many.
    """

    mel: Tensor
    window: Tensor

    def __init__(
        self,
        rate: int = 8000,
        window: int = 512,
        hop: int = 100,
        bands: int = 80,
        low: float = 50.0,
        high: float | None = None,
        standardise: bool = True,
    ) -> None:
        super().__init__()
        self.settings = {"rate": rate, "window": window, "hop": hop, "bands": bands, "low": low, "high": high,
                         "standardise": standardise}  # fmt: skip
        self.rate, self.hop, self.standardise = rate, hop, standardise
        edges = torch.linspace(_to_mel(low), _to_mel(high or rate / 2), bands + 2, dtype=torch.float64)
        edges = 700 * (10 ** (edges / 2595) - 1)
        hertz = torch.arange(window // 2 + 1, dtype=torch.float64) * rate / window
        rise = (hertz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
        fall = (edges[2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
        mel = torch.minimum(rise, fall).clamp(min=0)
        if empty := (mel.sum(0) == 0).nonzero().flatten().tolist():
            raise ValueError(
                f"band {empty[0]} of {bands} holds no frequency of a window of {window} samples at {rate} a second: "
                "take fewer bands or a longer window"
            )
        self.register_buffer("mel", mel.float(), persistent=False)
        self.register_buffer("window", torch.hann_window(window), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """`(B, N)` in ±1 -> `(B, bands, 1 + N // hop)`."""
        spectrum = torch.stft(
            waves.to(self.mel.dtype), len(self.window), self.hop, window=self.window, pad_mode="constant",
            return_complex=True,
        )  # fmt: skip
        power = spectrum.real.square() + spectrum.imag.square()
        found = (self.mel.T @ power).clamp(min=1e-10).log10()
        if not self.standardise:
            return found
        mean, deviation = found.mean((1, 2), keepdim=True), found.std((1, 2), keepdim=True, unbiased=False)
        return (found - mean) / (deviation + 1e-5)


def _to_mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)
