"""Pixels of a video for training and for testing, in uint8: the same change for all its frames."""

import torch
from torch import Tensor
from torchvision.transforms import v2

SCALES = (1.0, 0.875, 0.75, 0.66)


class MultiScaleCrop(torch.nn.Module):
    """TSN's crop (Wang et al. 2016, section 3.2): height and width are the short side times two neighbouring scales,
    at a random place, resized to `size`."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[-2:]
        short = min(height, width)
        first = int(torch.randint(len(SCALES), ()))
        second = min(max(first + int(torch.randint(-1, 2, ())), 0), len(SCALES) - 1)
        h, w = int(short * SCALES[first]), int(short * SCALES[second])
        top, left = (int(torch.randint(whole - part + 1, ())) for whole, part in ((height, h), (width, w)))
        return v2.functional.resized_crop(frames, top, left, h, w, [self.size, self.size], antialias=True)


def train_transform(size: int, randaugment: tuple[int, int] | None, flip: bool) -> v2.Compose:
    """The release's augmentation: RandAugment, multi-scale crop, flip, colour jitter (0.8), grey (0.2)."""
    jitter = v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)
    parts = [v2.RandAugment(*randaugment)] if randaugment else []
    parts += [MultiScaleCrop(size)]
    parts += [v2.RandomHorizontalFlip()] if flip else []
    return v2.Compose([*parts, v2.RandomApply([jitter], p=0.8), v2.RandomGrayscale(p=0.2)])


def test_crops(frames: Tensor, size: int, crops: int) -> Tensor:
    """`(T, 3, H, W)` to `(crops, T, 3, size, size)`: the short side becomes 256/224 of `size`; one crop in the
    middle, or three along the long side.

    Raises:
        ValueError: another number of crops.
    """
    if crops not in (1, 3):
        raise ValueError(f"crops is 1 or 3, got {crops}")
    height, width = frames.shape[-2:]
    factor = size * 256 / 224 / min(height, width)
    frames = v2.functional.resize(frames, [round(height * factor), round(width * factor)], antialias=True)
    spare = frames.shape[-2] - size, frames.shape[-1] - size
    places = [(spare[0] // 2, spare[1] // 2)]
    if crops == 3:
        along = int(spare[1] >= spare[0])
        places = [tuple(s * i // 2 if axis == along else s // 2 for axis, s in enumerate(spare)) for i in range(3)]
    return torch.stack([frames[..., top : top + size, left : left + size] for top, left in places])
