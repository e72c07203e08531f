"""The embedded world: procedural scenes with names for everything in them, and the tiny CLIP that was trained on it."""

from clipkit.shapes._words import (
    AMBIGUOUS,
    COLOURS,
    SHAPES,
    SPLITS,
    STUFF,
    TEXTURES,
    class_names,
    seen_compositions,
    seen_mask,
)
from clipkit.shapes.evaluate import evaluate
from clipkit.shapes.render import STYLES, Scenes, render
from clipkit.shapes.tiny import tiny_clip

__all__ = [
    "AMBIGUOUS",
    "COLOURS",
    "SHAPES",
    "SPLITS",
    "STUFF",
    "STYLES",
    "TEXTURES",
    "Scenes",
    "class_names",
    "evaluate",
    "render",
    "seen_compositions",
    "seen_mask",
    "tiny_clip",
]
