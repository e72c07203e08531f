"""Questions about scenes: each has the answer that the scene's own numbers give, and means one object."""

from collections import Counter
from random import Random

import pytest
import torch

from clipkit.data.questions import words
from clipkit.evaluation.vqa import normalise
from clipkit.shapes import COLOURS, SHAPES, STUFF, TEXTURES, Asker, render
from clipkit.shapes.questions import ANSWERS, KINDS, WORDS


@pytest.fixture(scope="module")
def scenes():
    return render(256, seed=11)


@pytest.fixture(scope="module")
def asked(scenes):
    asker, random = Asker(scenes), Random(0)
    found = {}
    for kind in KINDS:
        rows = [(i, asker.ask(i, kind, random)) for i in range(len(scenes)) if kind in asker.kinds(i)]
        found[kind] = [(i, question) for i, question in rows if question is not None]
    return found


def said(text):
    """What a text says of an object, by its words."""
    own = {word for word, _, _ in words(text)}
    singular = (
        own | {word.removesuffix("s").removesuffix("e") for word in own} | {word.removesuffix("s") for word in own}
    )
    tables = {"colour": COLOURS, "shape": SHAPES, "texture": TEXTURES}
    return {name: value for name, values in tables.items() for value in values if value in singular}


def matching(scenes, i, attributes):
    tables = {"colour": COLOURS, "shape": SHAPES, "texture": TEXTURES}
    rows = torch.stack(
        [getattr(scenes, name)[i] == tables[name].index(value) for name, value in attributes.items()]
        or [torch.ones_like(scenes.present[i])]
    ).all(0)
    return (rows & scenes.present[i]).nonzero().flatten().tolist()


@pytest.mark.parametrize("kind, values", [("colour", COLOURS), ("shape", SHAPES), ("texture", TEXTURES)])
def test_an_attribute_is_that_of_the_one_object_that_is_named(scenes, asked, kind, values):
    for i, question in asked[kind]:
        (place,) = matching(scenes, i, said(question.text))
        assert place == question.object
        assert question.answer == values[int(getattr(scenes, kind)[i, place])]
        alike = matching(scenes, i, {kind: question.answer})
        assert question.any_object == len(alike) / int(scenes.present[i].sum())


def test_counts(scenes, asked):
    for i, question in asked["count"]:
        assert int(question.answer) == len(matching(scenes, i, said(question.text)))


def test_grounds(scenes, asked):
    for i, question in asked["ground"]:
        upper, lower = scenes.stuff[i].tolist()
        row = upper if "top" in question.text else lower
        assert STUFF[row] == question.answer and ("at the" in question.text) == (upper != lower)


def test_what_exists(scenes, asked):
    for i, question in asked["existence"]:
        assert (question.answer == "yes") == bool(matching(scenes, i, said(question.text)))


def test_where(scenes, asked):
    for i, question in asked["place"]:
        (place,) = matching(scenes, i, said(question.text))
        x, y = (scenes.centre[i, place] / 64 - 0.5).tolist()
        assert (
            question.answer == max({"left": -x, "right": x, "top": -y, "bottom": y}.items(), key=lambda row: row[1])[0]
        )


def test_relations(scenes, asked):
    for i, question in asked["relation"]:
        how = next(each for each in ("left of", "right of", "above", "below") if each in question.text)
        a, b = (matching(scenes, i, said(part)) for part in question.text.split(how))
        x, y = (scenes.centre[i, b[0]] - scenes.centre[i, a[0]]).tolist()
        largest = max({"left of": x, "right of": -x, "above": y, "below": -y}.items(), key=lambda row: row[1])[0]
        assert len(a) == len(b) == 1 and a[0] == question.object
        assert (question.answer == "yes") == (how == largest)


@pytest.mark.parametrize("kind, most", [("existence", 0.6), ("relation", 0.6), ("count", 0.5), ("ground", 0.3)])
def test_answers_are_balanced(asked, kind, most):
    counts = Counter(question.answer for _, question in asked[kind])
    assert max(counts.values()) / sum(counts.values()) < most


def test_all_that_is_said_is_in_the_vocabulary_and_the_same_when_it_is_normalised(asked):
    every = [question for rows in asked.values() for _, question in rows]
    assert {word for question in every for word, _, _ in words(question.text)} <= set(WORDS)
    assert {question.answer for question in every} <= set(ANSWERS)
    assert all(normalise(answer) == answer for answer in ANSWERS) and len(set(ANSWERS)) == len(ANSWERS)


def test_most_wrong_pairs_are_of_things_that_are_there(scenes, asked):
    """A negative exchanges one attribute, where it can with another object's."""
    hard = total = 0
    for i, question in asked["existence"]:
        attributes = said(question.text)
        if question.answer == "no" and len(attributes) == 2 and int(scenes.present[i].sum()) > 1:
            total += 1
            hard += all(matching(scenes, i, {name: value}) for name, value in attributes.items())
    assert total > 20 and hard / total > 0.6
