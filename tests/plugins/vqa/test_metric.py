"""The report: accuracy by kind, and beside it blind, majority and any object, by hand."""

import json

import pytest
from clipkit_plugins.vqa import VQAAccuracy

from clipkit.data.questions import Asked


def sample(*rows):
    asked, answers, blind = zip(*rows)
    return {"asked": [tuple(one) for one in asked], "answers": list(answers), "blind": list(blind)}


def test_by_hand(tmp_path):
    red, blue = ("red",) * 10, ("blue",) * 10
    three = ("yes",) * 3 + ("no",) * 7
    samples = [
        sample(
            (Asked(1, "a", "?", red, "colour", "other", 0.5), "red", "blue"),
            (Asked(2, "a", "?", red, "colour", "other", 1.0), "blue", "blue"),
        ),
        sample(
            (Asked(3, "b", "?", blue, "colour", "other", 0.25), "blue", "blue"),
            (Asked(4, "b", "?", three, "is", "yes/no"), "yes", "no"),
        ),
    ]
    metric = VQAAccuracy(answers=str(tmp_path / "answers.json"))
    metric.process(None, samples)
    found = metric.evaluate(2)  # two pictures, whose questions are all counted
    assert found["colour"] == pytest.approx(66.67) and found["is"] == 90.0 and found["yes/no"] == 90.0
    assert found["all"] == pytest.approx(72.5) and found["macro"] == pytest.approx(78.33)
    assert found["blind/colour"] == pytest.approx(33.33) and found["blind/is"] == 100.0
    assert found["majority/colour"] == pytest.approx(66.67) and found["majority/is"] == 100.0
    assert found["any_object/colour"] == pytest.approx(58.33) and "any_object/is" not in found
    rows = json.loads((tmp_path / "answers.json").read_text())
    assert rows == [{"question_id": i, "answer": answer} for i, answer in enumerate(("red", "blue", "blue", "yes"), 1)]


def test_questions_without_answers_are_answered_only(tmp_path):
    metric = VQAAccuracy(answers=str(tmp_path / "answers.json"))
    metric.process(None, [sample((Asked(1, "a", "?", ()), "red", "red"))])
    assert metric.evaluate(1) == {"questions": 1}
    assert json.loads((tmp_path / "answers.json").read_text()) == [{"question_id": 1, "answer": "red"}]
