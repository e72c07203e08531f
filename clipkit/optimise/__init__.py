"""Pictures that are moved until CLIP says so: what is moved, what judges it, and the one loop for all."""

from .cutouts import Cutouts
from .loop import Optimised, optimise
from .objective import ClipLoss, Goal
from .parametrisations import Fourier, Parametrisation, Pixels, StrokeDrawing

__all__ = [
    "ClipLoss",
    "Cutouts",
    "Fourier",
    "Goal",
    "Optimised",
    "Parametrisation",
    "Pixels",
    "StrokeDrawing",
    "optimise",
]
