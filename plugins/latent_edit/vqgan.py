"""An autoencoder whose latents are words of a codebook (VQGAN: Esser et al., CVPR 2021, arXiv:2012.09841).

Its modules carry the names of diffusers' VQModel, so that a folder of that library is its state dict.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPS = 1e-6


class _Resnet(nn.Module):
    def __init__(self, given: int, made: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, given, _EPS)
        self.conv1 = nn.Conv2d(given, made, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, made, _EPS)
        self.conv2 = nn.Conv2d(made, made, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(given, made, 1) if given != made else None

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return inner + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class _Attention(nn.Module):
    """One head over all places."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, _EPS)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        places = self.group_norm(x).flatten(2).transpose(1, 2)
        seen = F.scaled_dot_product_attention(self.to_q(places), self.to_k(places), self.to_v(places))
        return x + self.to_out[0](seen).transpose(1, 2).view_as(x)


class _Resampler(nn.Module):
    def __init__(self, channels: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(channels, channels, 3, stride=2 if down else 1, padding=0 if down else 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.down else F.interpolate(x, scale_factor=2.0))


class _Block(nn.Module):
    """Residual blocks, each with attention behind it or none, and then another resolution."""

    def __init__(self, given: int, made: int, layers: int, groups: int, attention: bool, resample: str | None) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_Resnet(given if i == 0 else made, made, groups) for i in range(layers))
        self.attentions = nn.ModuleList(_Attention(made, groups) for _ in range(layers if attention else 0))
        if resample is not None:
            setattr(self, f"{resample}samplers", nn.ModuleList([_Resampler(made, resample == "down")]))
        self.resample = resample

    def forward(self, x: Tensor) -> Tensor:
        for i, resnet in enumerate(self.resnets):
            x = resnet(x)
            if len(self.attentions):
                x = self.attentions[i](x)
        return x if self.resample is None else getattr(self, f"{self.resample}samplers")[0](x)


class _Middle(nn.Module):
    def __init__(self, channels: int, groups: int, attention: bool) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([_Attention(channels, groups)] if attention else [])
        self.resnets = nn.ModuleList(_Resnet(channels, channels, groups) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.resnets[0](x)
        for attention in self.attentions:
            x = attention(x)
        return self.resnets[1](x)


class _Half(nn.Module):
    """Encoder or decoder: convolution, blocks with the middle last or first, norm, convolution."""

    def __init__(
        self, given: int, made: int, widths: Sequence[int], layers: int, groups: int, attention: Sequence[bool],
        middle_attention: bool, down: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.down = down
        order = list(widths) if down else list(widths)[::-1]
        self.conv_in = nn.Conv2d(given, order[0], 3, padding=1)
        blocks = nn.ModuleList()
        for i, width in enumerate(order):
            resample = None if i == len(order) - 1 else "down" if down else "up"
            blocks.append(_Block(order[max(i - 1, 0)], width, layers, groups, attention[i], resample))
        setattr(self, "down_blocks" if down else "up_blocks", blocks)
        self.mid_block = _Middle(widths[-1], groups, middle_attention)
        self.conv_norm_out = nn.GroupNorm(groups, order[-1], _EPS)
        self.conv_out = nn.Conv2d(order[-1], made, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        blocks = getattr(self, "down_blocks" if self.down else "up_blocks")
        for part in [*blocks, self.mid_block] if self.down else [self.mid_block, *blocks]:
            x = part(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class VQGAN(nn.Module):
    """Pictures to a grid of codebook words, and back.

    Args:
        widths: channels of each resolution, the finest first; each but the last is halved.
        layers: residual blocks a resolution; the decoder has one more.
        latent_channels: of the encoder's end.
        codes, code_channels: of the codebook; code_channels default to latent_channels.
        groups: of the norms.
        attention, decoder_attention: for each resolution, as encoder and decoder come to it, whether it has attention.
        middle_attention: whether the coarsest one has.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64,),
        layers: int = 1,
        latent_channels: int = 3,
        codes: int = 256,
        code_channels: int | None = None,
        groups: int = 32,
        attention: Sequence[bool] | None = None,
        decoder_attention: Sequence[bool] | None = None,
        middle_attention: bool = True,
    ) -> None:
        super().__init__()
        none = [False] * len(widths)
        code_channels = latent_channels if code_channels is None else code_channels
        self.encoder = _Half(3, latent_channels, widths, layers, groups, attention or none, middle_attention, down=True)
        self.decoder = _Half(
            latent_channels, 3, widths, layers + 1, groups, decoder_attention or none, middle_attention, down=False
        )
        self.quant_conv = nn.Conv2d(latent_channels, code_channels, 1)
        self.post_quant_conv = nn.Conv2d(code_channels, latent_channels, 1)
        self.quantize = nn.ModuleDict({"embedding": nn.Embedding(codes, code_channels)})
        nn.init.uniform_(self.codebook, -1 / codes, 1 / codes)
        self.stride = 2 ** (len(widths) - 1)

    @property
    def codebook(self) -> Tensor:
        """`(codes, C)`."""
        book: Tensor = self.quantize["embedding"].weight
        return book

    def encode(self, pictures: Tensor) -> Tensor:
        """`(B, 3, H, W)` in [0, 1], sides divisible by `stride` -> `(B, C, H / stride, W / stride)`, not words yet."""
        return self.quant_conv(self.encoder(2 * pictures - 1))

    def words(self, latents: Tensor) -> Tensor:
        """`(B, h, w)` int64: the nearest word of each place."""
        rows = latents.movedim(1, -1).flatten(0, -2)
        return torch.cdist(rows, self.codebook).argmin(1).view(latents[:, 0].shape)

    def quantise(self, latents: Tensor) -> Tensor:
        """The nearest words themselves, with the latents' gradient (straight-through)."""
        nearest = F.embedding(self.words(latents), self.codebook).movedim(-1, 1)
        return latents + (nearest - latents).detach()

    def decode(self, latents: Tensor, quantise: bool = True) -> Tensor:
        """`(B, 3, H, W)`, about in [0, 1]: what comes out of the last convolution is not clamped."""
        return (self.decoder(self.post_quant_conv(self.quantise(latents) if quantise else latents)) + 1) / 2
