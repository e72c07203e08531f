"""VQA's accuracy by kind of question, beside what a model has that sees nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from prettytable import PrettyTable

from clipkit.data.questions import Asked, write_answers
from clipkit.engine.registry import METRICS
from clipkit.evaluation.vqa import accuracy, normalise


class _Answered(NamedTuple):
    asked: Asked
    answer: str
    blind: str


@METRICS.register_module()
class VQAAccuracy(BaseMetric):
    """The official accuracy in percent: of `all` questions, of each kind (and VQAv2's answer types) and `macro`, the
    mean over kinds. The log has a table with three lines beside each number:

    - `blind`: the same model without the picture;
    - `majority`: the answer that would be best for all questions of that kind;
    - `any object`: what naming any object of the picture would have, where the data know it: a model at or below it
      has not found which object is meant.

    Args:
        answers: a file for the answers, as VQA's server takes them.
    """

    default_prefix = ""

    def __init__(self, answers: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.answers = answers

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the answers of a batch: one result a picture, as mmengine counts them."""
        self.results += [(sample["asked"], sample["answers"], sample["blind"]) for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The scores of all questions that have answers."""
        rows_of = [zip(*sample) for sample in results]
        answered = [_Answered(Asked(*asked), *rest) for rows in rows_of for asked, *rest in rows]
        if self.answers is not None:
            write_answers(self.answers, {one.asked.id: one.answer for one in answered})
            print_log(f"{len(answered)} answers: {self.answers}", MMLogger.get_current_instance())
        known = [one for one in answered if one.asked.answers]
        if not known:
            return {"questions": len(answered)}
        groups = {"all": known}
        for get in (lambda asked: asked.kind, lambda asked: asked.answer_type):
            groups |= _by(known, get)
        rows = {name: _row(own) for name, own in groups.items()}
        table = PrettyTable(["kind", "questions", "accuracy", "blind", "majority", "any object"], align="r")
        for name, row in rows.items():
            shown = ("" if value is None else f"{value:.1f}" for value in row.values())
            table.add_row([name, len(groups[name]), *shown])
        print_log(f"questions about pictures, %\n{table.get_string()}", MMLogger.get_current_instance())
        kinds = _by(known, lambda asked: asked.kind)
        out = {name: row["accuracy"] for name, row in rows.items()}
        out["macro"] = sum(out[kind] for kind in kinds) / max(len(kinds), 1)
        for name, row in rows.items():
            others = {"blind": row["blind"], "majority": row["majority"], "any_object": row["any object"]}
            out |= {f"{key}/{name}": value for key, value in others.items() if value is not None}
        return {key: round(float(value), 2) for key, value in out.items()}  # type: ignore[arg-type]


def _by(known: Sequence[_Answered], get: Callable[[Asked], str]) -> dict[str, list[_Answered]]:
    groups: dict[str, list[_Answered]] = {}
    for one in known:
        if name := get(one.asked):
            groups.setdefault(name, []).append(one)
    return groups


def _row(own: Sequence[_Answered]) -> dict[str, float | None]:
    common = Counter(answer for one in own for answer in {*map(normalise, one.asked.answers)}).most_common(5)
    shares = [one.asked.any_object for one in own if one.asked.any_object is not None]
    return {
        "accuracy": _mean([accuracy(one.answer, one.asked.answers) for one in own]),
        "blind": _mean([accuracy(one.blind, one.asked.answers) for one in own]),
        "majority": max(_mean([accuracy(answer, one.asked.answers) for one in own]) for answer, _ in common),
        "any object": _mean(shares) if len(shares) == len(own) else None,
    }


def _mean(values: Sequence[float]) -> float:
    return 100 * sum(values) / len(values)
