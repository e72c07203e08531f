"""Photos for benchmarks of what reads files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def make_photos(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """JPEGs of smooth shapes under noise: as slow to decode as photos of their size are."""
    random = np.random.default_rng(0)
    height, width = size
    paths = []
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
        pixels += random.integers(-9, 10, pixels.shape, dtype=np.int16)
        paths.append(folder / f"{number:03}.jpg")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths
