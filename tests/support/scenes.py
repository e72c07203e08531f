"""A picture of the embedded world."""

from pathlib import Path

import numpy as np
from PIL import Image

import clipkit.data


def scene() -> np.ndarray:
    """The example that clipkit ships, `(64, 64, 3)` uint8."""
    path = Path(clipkit.data.__file__).parent / "examples" / "scene.png"
    return np.asarray(Image.open(path).convert("RGB")).copy()
