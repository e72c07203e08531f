"""Edits of a picture by words: its pixels, its waves, or the latents of a generator are moved until CLIP says so."""

from __future__ import annotations

from typing import Any

import torch
from clipkit_plugins.latent_edit.vq_latents import VQLatents
from clipkit_plugins.latent_edit.vqgan import VQGAN
from torch import Tensor

from clipkit.backbone import FrozenCLIP
from clipkit.errors import ClipkitError, did_you_mean
from clipkit.optimise import ClipLoss, Cutouts, Fourier, Optimised, Parametrisation, Pixels, optimise

WAYS = {"pixels": 0.1, "fourier": 0.05, "vq": 0.1}
"""What is moved, and how fast by default."""


def edit_picture(
    clip: FrozenCLIP,
    picture: Tensor,
    to: str,
    base: str,
    *,
    way: str = "fourier",
    model: VQGAN | None = None,
    distance: str = "direction",
    keep_weight: float = 0.0,
    steps: int = 60,
    lr: float | None = None,
    copies: int = 4,
    cutouts: Cutouts | None = None,
    seed: int = 0,
    **options: Any,
) -> tuple[Tensor, Optimised]:
    """Moves a picture until CLIP says `to` of it instead of `base`.

    Without a generator this fools the CLIP that is asked: what it says of the picture is no measure of it.

    Args:
        picture: `(1, 3, H, W)` in [0, 1].
        way: 'pixels', 'fourier', or 'vq' with a `model`.
        distance: see `clipkit.optimise.ClipLoss`; 'spherical' is VQGAN-CLIP's.
        keep_weight: of the mean square of what has changed, in pixels.
        steps, lr: of Adam; lr None: `WAYS`.
        copies: warps a step, the picture itself among them; of picture and edit alike.
        cutouts: instead of these warps, e.g. `release_cutouts`.
        options: of `clipkit.optimise.optimise`: every, checkpoint, film, progress, schedule.

    Returns:
        the edit `(1, 3, H, W)`, that of the evaluation with the least loss of the unwarped picture, and what `optimise`
        says.

    Raises:
        ClipkitError: an unknown way, or 'vq' without a model.
    """
    if way not in WAYS:
        raise ClipkitError(f'way="{way}" is unknown; {did_you_mean(way, WAYS)}')
    size = (picture.shape[-2], picture.shape[-1])
    moved: Parametrisation
    if way == "vq":
        if model is None:
            raise ClipkitError('way="vq" needs a model, see read_vq_model')
        moved = VQLatents(model, 1, size)
    else:
        moved = Pixels(1, size) if way == "pixels" else Fourier(1, size)
    moved.init_from(picture)
    with torch.no_grad():
        source = moved.decode()  # a generator's own picture of it: what it cannot draw is no part of the edit
    loss = ClipLoss(clip, [to], distance=distance, base=base)
    if cutouts is None:
        cutouts = Cutouts(clip.image_size[0], copies, perspective=0.3, crop=(0.8, 1.0), plain=True, seed=seed)
    whole = Cutouts(clip.image_size[0], 1, plain=True, perspective=0)

    def compare(now: Tensor, warps: Cutouts) -> dict[str, Tensor]:
        drawn, then = warps(now, source)
        changed = (now - source).square().mean((1, 2, 3)).repeat_interleave(warps.copies, 0)
        return {**loss(drawn, source=then), "changed": keep_weight * changed}

    lr = WAYS[way] if lr is None else lr
    found = optimise(
        moved,
        lambda now: compare(now, cutouts),
        steps=steps,
        lr=lr,
        about=(source, to, base, way, distance, keep_weight, lr, cutouts.copies, seed, clip.weights_hash),
        judge=lambda now: torch.stack([*compare(now, whole).values()]).sum(0),
        generators=[cutouts.generator],
        **options,
    )
    return found.pictures, found
