"""The scene generator: what it promises about masks, boxes, splits, styles, seeds and captions."""

import math

import pytest
import torch

from clipkit.shapes import (
    COLOURS,
    SHAPES,
    STUFF,
    STYLES,
    class_names,
    render,
    seen_compositions,
    seen_mask,
)
from clipkit.shapes._sdf import shape_sdf
from clipkit.shapes._words import COLOUR_SYNONYMS, SHAPE_SYNONYMS, STUFF_SYNONYMS


def test_world_is_as_large_as_promised():
    assert len(SHAPES) >= 12 and len(COLOURS) >= 8
    assert len(class_names()) == len(COLOURS) * len(SHAPES) + len(STUFF) == len(set(class_names()))


@pytest.mark.parametrize("size", [64, 97, 160])
def test_shapes_and_dtypes(size):
    scenes = render(3, size=size, seed=1)
    assert scenes.images.shape == (3, 3, size, size) and scenes.images.dtype == torch.float32
    assert scenes.semantic.shape == scenes.instances.shape == (3, size, size)
    assert scenes.images.min() >= 0 and scenes.images.max() <= 1
    assert scenes.semantic.min() >= 0 and scenes.semantic.max() < len(class_names())


def test_same_seed_same_scenes_whatever_the_chunking():
    whole, again = render(70, seed=5), render(70, seed=5)
    assert torch.equal(whole.images, again.images) and whole.captions == again.captions
    assert not torch.equal(whole.images, render(70, seed=6).images)


def test_masks_agree_with_boxes_and_labels():
    scenes = render(40, seed=2, objects=(1, 4))
    for b in range(len(scenes)):
        for n in range(4):
            mask = scenes.instances[b] == n + 1
            if not scenes.present[b, n]:
                assert torch.equal(scenes.boxes[b, n], torch.zeros(4))
                continue
            rows, columns = mask.nonzero().T
            expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert scenes.boxes[b, n].tolist() == [float(v) for v in expected]
            composition = scenes.colour[b, n] * len(SHAPES) + scenes.shape[b, n]
            assert (scenes.semantic[b][mask] == composition).all()
        background = scenes.semantic[b][scenes.instances[b] == 0]
        assert set((background - len(COLOURS) * len(SHAPES)).tolist()) <= set(scenes.stuff[b].tolist())


def test_objects_show_their_colour():
    scenes = render(60, seed=3, objects=(1, 1))
    plain = scenes.texture[:, 0] == 0
    for b in plain.nonzero().flatten().tolist():
        inside = scenes.images[b][:, scenes.instances[b] == 1].median(1).values
        if COLOURS[scenes.colour[b, 0]] == "red":
            assert inside[0] > inside[1] + 0.3 and inside[0] > inside[2] + 0.3
        if COLOURS[scenes.colour[b, 0]] == "blue":
            assert inside[2] > inside[0] + 0.3


def test_circle_area_is_that_of_the_formula():
    scenes = render(200, seed=4, objects=(1, 1), size=128)
    for b in range(len(scenes)):
        x1, y1, x2, y2 = scenes.boxes[b, 0].tolist()
        if SHAPES[scenes.shape[b, 0]] == "circle" and min(x1, y1) > 0 and max(x2, y2) < 128:
            area = (scenes.instances[b] == 1).sum().item()
            assert area == pytest.approx(math.pi * (0.95 * scenes.radius[b, 0].item()) ** 2, rel=0.05)


@pytest.mark.parametrize("name", SHAPES)
def test_distance_is_negative_inside_and_its_zero_is_crossed(name):
    axis = torch.linspace(-1.35, 1.35, 271, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    distance = shape_sdf(name, x, y)
    assert 0.1 < (distance < 0).double().mean() < 0.6
    border = torch.cat([distance[0], distance[-1], distance[:, 0], distance[:, -1]])
    assert (border > 0.1).all()
    slope = (distance[:, 1:] - distance[:, :-1]).abs().max() / (axis[1] - axis[0])
    assert slope < 1.01  # a distance never grows faster than one walks


def test_unknown_shape_is_named():
    with pytest.raises(ValueError, match="octagon"):
        shape_sdf("octagon", torch.zeros(1), torch.zeros(1))


@pytest.mark.parametrize("split", ["composition", "shape"])
def test_splits_hold_out_what_they_say(split):
    seen = seen_compositions(split)
    for subset, expected in (("seen", True), ("unseen", False)):
        scenes = render(200, seed=7, split=split, subset=subset)
        assert (seen[scenes.colour, scenes.shape] == expected).all()
    assert seen.sum() == 72
    assert torch.equal(seen_mask(split)[:96], seen.flatten()) and seen_mask(split)[96:].all()
    if split == "composition":  # every colour and every shape is still seen
        assert seen.any(0).all() and seen.any(1).all()


def test_styles_change_pixels_not_truth():
    photo = render(8, seed=9)
    for style in STYLES[1:]:
        other = render(8, seed=9, style=style)
        assert torch.equal(photo.semantic, other.semantic)
        assert (photo.images - other.images).abs().mean() > 0.05


def test_captions_tell_the_truth():
    colours = {word: name for name, words in COLOUR_SYNONYMS.items() for word in words}
    scenes = render(400, seed=11, objects=(1, 1))
    said = 0
    for b, text in enumerate(scenes.captions):
        words = text.replace(",", "").split()
        for word in words:
            if word in colours:
                assert colours[word] == COLOURS[scenes.colour[b, 0]], text
                said += 1
        stuff = [STUFF[i] for i in scenes.stuff[b].tolist()]
        if " on " in text:
            assert words[-1] in {word for name in stuff for word in STUFF_SYNONYMS[name]}, text
    assert said > 300
    assert any("dot" in SHAPE_SYNONYMS["circle"] and text.split()[-1] == "dot" for text in scenes.captions)


def test_spatial_words_follow_the_axis_of_greater_distance():
    scenes = render(300, seed=12, objects=(2, 2))
    checked = 0
    for b, text in enumerate(scenes.full_captions):
        if not scenes.present[b].all():
            continue
        (x0, y0), (x1, y1) = scenes.centre[b].tolist()
        left, right = ((x0, y0), (x1, y1)) if x0 < x1 else ((x1, y1), (x0, y0))
        across = abs(x0 - x1) > abs(y0 - y1)
        word = "left of" if across else ("above" if left[1] < right[1] else "below")
        assert f" {word} " in text
        checked += 1
    assert checked > 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 32}, "64"),
        ({"objects": (0, 2)}, "objects"),
        ({"style": "oil"}, "photo"),
        ({"split": "size"}, "composition"),
        ({"subset": "some"}, "unseen"),
        ({"split": None, "subset": "unseen"}, "no unseen"),
    ],
)
def test_bad_arguments_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        render(1, **options)


def test_no_scene_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        render(0)
