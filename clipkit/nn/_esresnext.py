"""ESResNeXt with a learned filter bank: AudioCLIP's own tower for sound (Guzhov et al., "ESResNe(X)t-fbsp", IJCNN 2021,
arXiv:2104.11587), its arithmetic and the names of its weights those of the released code."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import Bottleneck, ResNet

_TINY = 1e-8
_SILENCE = 1e-18  # power, where there is none
_BLACKMAN_HARRIS = (0.35875, -0.48829, 0.14128, -0.01168)


class FilterBank(nn.Module):
    """Complex frequency B-spline wavelets whose order `m`, bandwidth `fb` and centre `fc` are learned,

        w_k(t) = sqrt(fb) · sinc(fb · t / m)^m · exp(-i · fc · t) / sqrt(L),   t in π · [-1, 1], both ends included.

    At the start m = 0 and fb = 1: a sinc of power 0 is 1, and filters are those of a Fourier transform of period L - 1.
    A gradient is divided by the largest of its parameter's, whatever the loss.

    Args:
        filters: how many; their centres begin at 0, 1, 2, …
    """

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(filters))
        self.fb = nn.Parameter(torch.ones(filters))
        self.fc = nn.Parameter(torch.arange(filters, dtype=torch.get_default_dtype()))
        for parameter in (self.m, self.fb, self.fc):
            parameter.register_hook(lambda gradient: gradient / (gradient.abs().max() + _TINY))

    def filters(self, length: int) -> tuple[Tensor, Tensor]:
        """Real and imaginary parts `(filters, length)`."""
        t = math.pi * torch.linspace(-1, 1, length, dtype=self.m.dtype, device=self.m.device) + _TINY
        m, fb, fc = (parameter[:, None] for parameter in (self.m, self.fb, self.fc))
        inner = fb * t / (m + _TINY)
        sinc = torch.where(inner == 0, 1.0, inner.sin() / inner)
        size = sinc.square() ** (m / 2)  # a negative number to the power m has the angle π · m
        turned = math.pi * m * (sinc < 0)
        scale = fb.sqrt() * size / math.sqrt(length)
        return scale * (turned - fc * t).cos(), scale * (turned - fc * t).sin()

    def forward(self, frames: Tensor) -> Tensor:
        """`(…, length)` -> power `(…, filters)`."""
        real, imaginary = self.filters(frames.shape[-1])
        return (frames @ real.T).square() + (frames @ imaginary.T).square()

    def norm_loss(self, length: int) -> Tensor:
        """Mean square of how far the filters' norms are from 1."""
        real, imaginary = self.filters(length)
        return (torch.hypot(real.norm(dim=1), imaginary.norm(dim=1)) - 1).square().mean()


class TimeFrequencyGate(nn.Module):
    """sigmoid(BN(pointwise(depthwise(max-pooled input)))), by which a stage's output is multiplied."""

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.conv_depth = nn.Conv2d(in_channels, in_channels, kernel, padding=padding, groups=in_channels)
        self.conv_point = nn.Conv2d(in_channels, out_channels, 1)
        self.bn = nn.BatchNorm2d(out_channels)
        nn.init.ones_(self.bn.bias)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """`(B, in, h, w)` -> `(B, out, *size)`."""
        return self.bn(self.conv_point(self.conv_depth(F.adaptive_max_pool2d(x, tuple(size))))).sigmoid()


class ESResNeXt(nn.Module):
    """Waves -> filter bank -> three frequency bands as three channels, in dB -> ResNeXt-50 (32x4d) whose stages are
    gated. Channels of sound are seen one by one and summed before the last layer.

    Args:
        dim: of the embedding.
        length: of a filter, samples: a frame is filled up to it; window: samples of a frame; hop: between frames.
        layers: blocks of each stage.
    """

    takes_waves = True
    window: Tensor
    conv1: nn.Module
    bn1: nn.Module
    relu: nn.Module
    maxpool: nn.Module
    fc: nn.Module
    att5: nn.Module

    def __init__(
        self, dim: int, length: int = 2048, window: int = 1654, hop: int = 561, layers: Sequence[int] = (3, 4, 6, 3)
    ) -> None:
        super().__init__()
        self.length, self.hop = length, hop
        self.fbsp = FilterBank(length // 2 + 1)
        angle = 2 * math.pi * torch.arange(window, dtype=torch.float64) / window
        shape = torch.stack([a * torch.cos(n * angle) for n, a in enumerate(_BLACKMAN_HARRIS)]).sum(0)
        self.register_buffer("window", shape.to(torch.get_default_dtype()))
        net = ResNet(Bottleneck, list(layers), num_classes=dim, groups=32, width_per_group=4)
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "fc"):
            setattr(self, name, getattr(net, name))
        widths = (64, 256, 512, 1024, 2048, 2048)
        kernels = ((3, 1), (1, 5), (3, 1), (1, 5), (3, 5))
        for number, kernel in enumerate(kernels):
            setattr(self, f"att{number + 1}", TimeFrequencyGate(widths[number], widths[number + 1], kernel))

    def forward(self, waves: Tensor) -> Tensor:
        """`(B, N)` or `(B, C, N)` in ±1, 44,100 samples a second in the original -> `(B, dim)`, not normalised."""
        waves = waves[:, None] if waves.ndim == 2 else waves
        x = self.spectrogram(waves.flatten(0, 1))
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(1, 5):
            y = getattr(self, f"layer{number}")(x)
            x = y * getattr(self, f"att{number}")(x, y.shape[-2:])
        pooled = x.mean((2, 3), keepdim=True) * self.att5(x, (1, 1))
        return self.fc(pooled.flatten(1).unflatten(0, waves.shape[:2]).sum(1))

    def spectrogram(self, waves: Tensor) -> Tensor:
        """`(B, N)` -> `(B, 3, filters // 3, frames)` in dB. What filters are left over by three bands is not seen."""
        size = len(self.window)
        # The original takes the range of 16-bit numbers, -32768 to 32767, to -1 to 1.
        waves = (65536 * waves.to(self.window.dtype) + 1) / 65535
        count = 1 + -(-max(waves.shape[-1] - size, 0) // self.hop)
        missing = (count - 1) * self.hop + size - waves.shape[-1]
        frames = F.pad(waves, (missing // 2, missing - missing // 2)).unfold(-1, size, self.hop) * self.window
        beside = self.length - size
        power = self.fbsp(F.pad(frames, (beside // 2, beside - beside // 2))).transpose(1, 2)
        bands = power[:, : power.shape[1] // 3 * 3].unflatten(1, (3, -1))
        return 10 * torch.where(bands > 0, bands, _SILENCE).log10()

    def filter_loss(self) -> Tensor:
        """See `FilterBank.norm_loss`; the original adds it to its objective."""
        return self.fbsp.norm_loss(self.length)
