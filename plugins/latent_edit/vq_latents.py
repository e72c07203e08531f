"""Latents of a VQGAN as what an optimiser moves (VQGAN-CLIP: Crowson et al., 2022, arXiv:2204.08583)."""

from __future__ import annotations

from typing import Any

import torch
from clipkit_plugins.latent_edit.vqgan import VQGAN
from torch import Tensor, nn

from clipkit.errors import ClipkitError
from clipkit.optimise import Cutouts, Parametrisation


class VQLatents(Parametrisation):
    """Each place's latent is drawn as its nearest word; the gradient passes straight through, and latents stay between
    the codebook's least and greatest values of each channel.

    Args:
        model: whose codebook and decoder.
        count, size: B, and height and width in pixels.

    Raises:
        ClipkitError: sides that the model's stride does not divide.
    """

    def __init__(self, model: VQGAN, count: int, size: tuple[int, int]) -> None:
        super().__init__()
        if any(side % model.stride for side in size):
            raise ClipkitError(f"a picture of {size[0]} x {size[1]} pixels: sides must be multiples of {model.stride}")
        self._model = [model]  # not a part: what is moved are the latents alone
        channels = model.codebook.shape[1]
        self.latents = nn.Parameter(torch.zeros(count, channels, *(side // model.stride for side in size)))

    @property
    def model(self) -> VQGAN:
        """The frozen autoencoder."""
        return self._model[0]

    def decode(self) -> Tensor:
        """`(B, 3, H, W)` in [0, 1]; outside, the gradient passes only inwards."""
        return _clamp_inwards(self.model.decode(self.latents))

    @torch.no_grad()
    def init_from(self, pictures: Tensor) -> None:
        """As well as the autoencoder can."""
        self.latents.copy_(self.model.encode(pictures))
        self.clamp_()

    @torch.no_grad()
    def clamp_(self) -> None:
        """See above."""
        low, high = self.model.codebook.aminmax(dim=0)
        self.latents.copy_(torch.minimum(torch.maximum(self.latents, low[:, None, None]), high[:, None, None]))


class _ClampInwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * (gradient * (x - x.clamp(0, 1)) >= 0)


def _clamp_inwards(x: Tensor) -> Tensor:
    return _ClampInwards.apply(x)


def release_cutouts(size: int, copies: int = 32, seed: int = 0) -> Cutouts:
    """Warps as the release's default list has them: affine, perspective, jitter and erasing, each of 0.7 of the copies,
    over the whole picture, and noise. The release pools the picture once, by the mean of average and maximum; here each
    copy is sampled from the picture itself."""
    return Cutouts(
        size, copies, degrees=15, translate=0.1, shear=5, perspective=0.7, jitter=0.1, erase=(0.1, 0.4), noise=0.1,
        chance=0.7, crop=(1.0, 1.0), seed=seed,
    )  # fmt: skip
