"""The embedded world: procedural scenes with names for everything in them, and the tiny CLIPs trained on it."""

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
from clipkit.shapes.clouds import Clouds, render_clouds
from clipkit.shapes.depths import DISTANCE_WORDS, DISTANCES, DepthScenes, depth_scenes
from clipkit.shapes.evaluate import evaluate
from clipkit.shapes.film_files import film_set, read_film_set, write_film
from clipkit.shapes.films import Films, render_films
from clipkit.shapes.outlines import render_outlines
from clipkit.shapes.questions import Asker, Question
from clipkit.shapes.render import STYLES, Scenes, render
from clipkit.shapes.sounds import render_sounds
from clipkit.shapes.stories import story_set
from clipkit.shapes.tiny import distance_clip, tiny_clip

__all__ = [
    "AMBIGUOUS",
    "COLOURS",
    "DISTANCES",
    "DISTANCE_WORDS",
    "SHAPES",
    "SPLITS",
    "STUFF",
    "STYLES",
    "TEXTURES",
    "Asker",
    "Caption",
    "Clouds",
    "DepthScenes",
    "Films",
    "Question",
    "Scenes",
    "Span",
    "action_names",
    "class_names",
    "depth_scenes",
    "distance_clip",
    "evaluate",
    "film_caption",
    "film_set",
    "read_film_set",
    "render",
    "render_clouds",
    "render_films",
    "render_outlines",
    "render_sounds",
    "seen_compositions",
    "seen_mask",
    "story_set",
    "tiny_clip",
    "write_film",
]
