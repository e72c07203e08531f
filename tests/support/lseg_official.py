"""Weights of the original LSeg by a closed formula of each weight's name, so that a file of numbers recorded from the
original run aside (plugins/lseg/parity.json) is all that parity needs."""

import math
import zlib

import numpy as np
import torch
from clipkit_plugins.lseg.convert import PREFIX, TOWERS, Sizes, layout


def hashed(name: str, count: int) -> np.ndarray:
    """`count` numbers in [-1, 1): the 32-bit finaliser of MurmurHash3 over index * 0x9E3779B1 + CRC-32 of the name.

    Exact on every machine. A sine of the index, as elsewhere, makes matrices of rank 2: too tame for 24 blocks.
    """
    x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x.astype(np.float64) / 2**31 - 1


def formula(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A weight of the original, float64, by its name in the checkpoint."""
    u = torch.from_numpy(hashed(name, math.prod(shape))).reshape(shape)
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith("running_var"):
        return 1 + 0.5 * u
    if name.endswith(("cls_token", "pos_embed")):
        return 0.5 * u
    if len(shape) < 2:
        return 1 + 0.2 * u if name.endswith("weight") else 0.1 * u
    return u * math.sqrt(3 / math.prod(shape[1:]))


def official_state(tower: str, sizes: Sizes, unused: bool = False) -> dict[str, torch.Tensor]:
    """The original's state dict, float64; with `unused` also a few weights of each kind that ours leaves out."""
    shapes = {PREFIX + key: shape for key, (_, shape) in layout(tower, sizes).items()}
    if unused:
        shapes |= unused_shapes(tower, sizes)
    return {key: formula(key, shape) for key, shape in shapes.items()}


def unused_shapes(tower: str, sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """What the original saves beside `layout`: of CLIP a few only."""
    width, out = sizes.width, {}
    if TOWERS[tower].factors:
        for key, rows in (("norm", (width,)), ("head", (1000, width))):
            out |= {f"net.pretrained.model.{key}.weight": rows, f"net.pretrained.model.{key}.bias": rows[:1]}
    unit = "net.scratch.refinenet4.resConfUnit1"
    for j in (1, 2):
        out[f"{unit}.conv{j}.weight"] = (sizes.features, sizes.features, 3, 3)
        for name in ("weight", "bias", "running_mean", "running_var"):
            out[f"{unit}.bn{j}.{name}"] = (sizes.features,)
        out[f"{unit}.bn{j}.num_batches_tracked"] = ()
    clip = {"positional_embedding": (77, 8), "logit_scale": (), "visual.conv1.weight": (8, 3, 4, 4)}
    return out | {f"net.clip_pretrained.{key}": shape for key, shape in clip.items()}


def images(*shape: int) -> torch.Tensor:
    """Normalised images in [-1, 1), float64."""
    return torch.from_numpy(hashed("images", math.prod(shape))).reshape(shape)


def label_rows(labels: int, width: int = 512) -> torch.Tensor:
    """Text embeddings (labels, width), not normalised, float64."""
    return torch.from_numpy(hashed("labels", labels * width)).reshape(labels, width)


def probe(value: torch.Tensor) -> dict:
    """What is recorded of a part's output: its shape, mean, mean square, and 24 entries spread over it."""
    flat = value.detach().double().flatten()
    places = torch.from_numpy((hashed("places", 24) + 1) / 2 * len(flat)).long()
    return {
        "shape": list(value.shape),
        "mean": flat.mean().item(),
        "square": flat.square().mean().item(),
        "values": flat[places].tolist(),
    }
