"""Pictures of the embedded world."""

from pathlib import Path

import numpy as np
from PIL import Image

import clipkit.data
from clipkit.shapes import render


def scene() -> np.ndarray:
    """The example that clipkit ships, `(64, 64, 3)` uint8."""
    path = Path(clipkit.data.__file__).parent / "examples" / "scene.png"
    return np.asarray(Image.open(path).convert("RGB")).copy()


def write_scenes(folder: Path, count: int, seed: int) -> Path:
    """A new folder with 0.png, 1.png, …, each 80 pixels wide and lower than the one before."""
    folder.mkdir()
    pictures = (render(count, size=80, seed=seed).images * 255).round().byte().movedim(1, -1).numpy()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture[: 80 - 4 * number]).save(folder / f"{number}.png")
    return folder
