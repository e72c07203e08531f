"""Close-ups: one object of a crowded scene, and words about it alone."""

import re

import pytest
import torch

from clipkit.shapes import COLOURS, SHAPES, class_names, seen_compositions
from clipkit.shapes._words import COLOUR_SYNONYMS, SHAPE_SYNONYMS, TEXTURE_NOUNS
from clipkit.shapes.closeups import closeups, labelled_closeups
from clipkit.shapes.render import RGB

COUNT = 200


@pytest.fixture(scope="module")
def made():
    return closeups(COUNT, seed=5), labelled_closeups(COUNT, seed=5)


def test_equal_seeds_give_equal_close_ups(made):
    (images, captions), (same, labels) = made
    assert images.shape == (COUNT, 3, 64, 64) and labels.shape == (COUNT,)
    assert torch.equal(images, same)
    again = closeups(COUNT, seed=5)
    assert torch.equal(again[0], images) and again[1] == captions
    assert not torch.equal(closeups(COUNT, seed=6)[0], images)
    assert images.min() >= 0 and images.max() <= 1


def test_the_middle_shows_the_labelled_colour(made):
    """Mostly: rings are hollow, others stand before it, textures and light change it."""
    images, labels = made[1]
    table = torch.tensor([RGB[name] for name in COLOURS])
    pixels = images[:, :, 16:48, 16:48].flatten(2).transpose(1, 2)  # (count, 1024, 3)
    nearest = torch.cdist(pixels, table.expand(COUNT, -1, -1)).argmin(-1)
    share = (nearest == (labels // len(SHAPES))[:, None]).float().mean(1)
    assert (share > 0.25).float().mean() > 0.8


def test_captions_tell_of_the_labelled_object_and_of_no_other(made):
    (_, captions), (_, labels) = made
    colours = {word: name for name, words in COLOUR_SYNONYMS.items() for word in words}
    shapes = {word: name for name, words in SHAPE_SYNONYMS.items() for word in words}
    named = 0
    for text, label in zip(captions, labels.tolist()):
        colour, shape = class_names()[label].split()
        words = re.sub(" with a [a-z]+ pattern| on .*", "", text).split()
        assert {colours[w] for w in words if w in colours} <= {colour}, text
        if len(words) > 1 or words[0] not in {*TEXTURE_NOUNS.values(), "brick", "wall"}:
            assert {shapes[w] for w in words if w in shapes} <= {shape}, text
        named += any(w in colours for w in words)
        assert "small" not in words and "large" not in words
    assert named > 0.8 * COUNT


def test_options_are_those_of_render():
    """Of a split's seen half no unseen composition comes."""
    _, labels = labelled_closeups(100, seed=1, split="composition", subset="seen")
    assert seen_compositions("composition").flatten()[labels].all()
