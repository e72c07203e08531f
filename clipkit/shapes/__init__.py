"""The embedded world: procedural scenes with names for everything in them, and the tiny CLIP that was trained on it."""

from clipkit.shapes._captions import Caption, Span
from clipkit.shapes._film_words import action_names, film_caption
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
from clipkit.shapes.film_files import film_set, read_film_set, write_film
from clipkit.shapes.films import Films, render_films
from clipkit.shapes.questions import Asker, Question
from clipkit.shapes.render import STYLES, Scenes, render
from clipkit.shapes.sounds import render_sounds
from clipkit.shapes.tiny import tiny_clip

__all__ = [
    "AMBIGUOUS",
    "COLOURS",
    "SHAPES",
    "SPLITS",
    "STUFF",
    "STYLES",
    "TEXTURES",
    "Asker",
    "Caption",
    "Films",
    "Question",
    "Scenes",
    "Span",
    "action_names",
    "class_names",
    "evaluate",
    "film_caption",
    "film_set",
    "read_film_set",
    "render",
    "render_films",
    "render_sounds",
    "seen_compositions",
    "seen_mask",
    "tiny_clip",
    "write_film",
]
