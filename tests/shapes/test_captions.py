"""Captions with spans: the texts of before, and which characters name what."""

import hashlib

import pytest
import torch

from clipkit.shapes import SHAPES, render
from clipkit.shapes._captions import relation
from clipkit.shapes._words import COLOUR_SYNONYMS, COLOURS, SHAPE_SYNONYMS, STUFF, STUFF_SYNONYMS, TEXTURES
from clipkit.shapes.closeups import closeups


def digest(texts):
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def test_texts_are_those_of_before_spans():
    """Digests of what the version without spans said."""
    assert digest(render(512, seed=5).captions) == "96ef5a8067355771"
    assert digest(render(256, seed=11, objects=(4, 6), size=64).captions) == "7645531e28bc7b23"
    assert digest(closeups(64, seed=3)[1]) == "5988614d354bc9ac"
    assert torch.equal(render(8, seed=5).images, render(8, seed=5, twins=False).images)


@pytest.mark.parametrize("objects", [(1, 3), (4, 6)])
def test_spans_name_what_the_scene_holds(objects):
    scenes = render(200, seed=21, objects=objects)
    told = scenes.tell()
    assert [caption.text for caption in told] == scenes.captions
    kinds = set()
    for b, caption in enumerate(told):
        assert caption.spans
        ends = [0, *(span.end for span in caption.spans)]
        for span, before in zip(caption.spans, ends):
            words = caption.text[span.start : span.end]
            assert before <= span.start < span.end <= len(caption.text)
            assert not words.startswith(("a ", "an ")) and caption.text[: span.start].split(" ")[-1] == ""
            kinds |= set(span.attributes)
            if span.object is None:
                (name,) = span.attributes.values()
                assert set(span.attributes) == {"stuff"} and words in STUFF_SYNONYMS[name]
                assert STUFF.index(name) in scenes.stuff[b]
                continue
            assert scenes.present[b, span.object] and (scenes.boxes[b, span.object] != 0).any()
            said = span.attributes
            n = span.object
            for key, words_of, value in (
                ("shape", SHAPE_SYNONYMS, SHAPES[scenes.shape[b, n]]),
                ("colour", COLOUR_SYNONYMS, COLOURS[scenes.colour[b, n]]),
            ):
                if key in said:
                    assert said[key] == value and any(word in words.split() for word in words_of[value])
            assert said.get("texture", TEXTURES[scenes.texture[b, n]]) == TEXTURES[scenes.texture[b, n]]
            assert ("size" in said) == (words.split()[0] in ("small", "large"))
    assert kinds == {"size", "texture", "colour", "shape", "stuff"}


def test_relations_are_those_of_the_centres():
    scenes = render(300, seed=22)
    found = 0
    for b, caption in enumerate(scenes.tell()):
        for span, following in zip(caption.spans, caption.spans[1:]):
            if span.relation is None:
                continue
            found += 1
            how, other = span.relation
            assert following.object == other
            assert caption.text[span.end : following.start].strip().startswith(how)
            a, c = (scenes.centre[b, n].tolist() for n in (span.object, other))
            point = [type("Point", (), {"x": x, "y": y}) for x, y in (a, c)]
            assert relation(*point) == how
    assert found > 40


def test_another_seed_tells_the_same_scenes_in_other_words():
    scenes = render(64, seed=23)
    a, b = scenes.tell(), scenes.tell(seed=1)
    assert a == scenes.tell() and sum(x.text != y.text for x, y in zip(a, b)) > 32


@pytest.mark.parametrize("options", [{"split": "composition", "subset": "unseen"}, {"split": None}])
@pytest.mark.parametrize("objects", [(2, 2), (3, 3), (4, 6)])
def test_twins_share_a_shape_that_no_other_has(options, objects):
    scenes = render(100, seed=24, objects=objects, twins=True, **options)
    assert (scenes.shape[:, 0] == scenes.shape[:, 1]).all() and (scenes.shape[:, 2:] != scenes.shape[:, :1]).all()
    assert (scenes.colour[:, 0] != scenes.colour[:, 1]).any()
    if options.get("subset") == "unseen":
        assert ((scenes.colour + scenes.shape) % 4 == 0).all()
    plain = render(100, seed=24, objects=objects, **options)
    assert torch.equal(plain.centre, scenes.centre) and torch.equal(plain.shape[:, 0], scenes.shape[:, 0])


def test_twins_need_two_objects():
    with pytest.raises(ValueError, match=r"objects is \(1, 3\), twins need at least 2"):
        render(2, twins=True)
