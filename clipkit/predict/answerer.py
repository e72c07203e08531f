"""A trained model of questions about pictures as a Python object: a picture and questions in, answers out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from clipkit.data.draw import enlarge, grid, save_picture, with_legend
from clipkit.data.picture import Picture
from clipkit.errors import ClipkitError
from clipkit.files import write_text
from clipkit.predict.files import ImageFiles
from clipkit.predict.predictor import ImagePredictor

SHOWN = 5  # answers of a question
_GLOW, _PAPER = (255, 190, 0), (255, 255, 255)
_HEIGHT = 256  # pixels, of small pictures


@dataclass(repr=False)
class Answer(Picture):
    """The answer to one question about a picture.

    Attributes:
        question: as it was asked.
        answers: the best ones with their scores in [0, 1], best first.
        looked: (h, w) float32, how much was looked at each cell of the grid, with the sum 1.
        image: (H, W, 3) uint8 RGB.
    """

    question: str
    answers: list[tuple[str, float]]
    looked: Tensor
    image: np.ndarray

    def plot(self) -> Image.Image:
        """The picture, lit where it was looked at, over question and answer."""
        picture = enlarge(self.lit(), _HEIGHT)
        name, score = self.answers[0]
        return Image.fromarray(with_legend(picture, [(self.question, _PAPER), (f"{name} {100 * score:.0f} %", _GLOW)]))

    def lit(self) -> np.ndarray:
        """The picture (H, W, 3) uint8, dark where it was not looked at."""
        high, wide = self.image.shape[:2]
        weight = F.interpolate(self.looked[None, None], (high, wide), mode="bilinear", align_corners=False)[0, 0]
        light = (weight / weight.max().clamp(min=1e-9)).numpy()[..., None]
        lit = self.image * (0.35 + 0.65 * light)
        return (lit + 0.25 * light * (np.array(_GLOW) - lit)).clip(0, 255).astype(np.uint8)

    def __repr__(self) -> str:
        return f"Answer({self.question!r}: " + ", ".join(f"{name} {score:.2f}" for name, score in self.answers) + ")"


class Answers(list[Answer], Picture):
    """Of one picture, an `Answer` to each question."""

    def plot(self, beside: bool = False) -> Image.Image:
        """Those of all questions, one beside the other; `beside`: behind the picture as it is."""
        photo = [enlarge(self[0].image, _HEIGHT)] if beside else []
        return Image.fromarray(grid([[*photo, *(np.asarray(one.plot()) for one in self)]]))


class Answerer(ImagePredictor):
    """`Answerer.load(work_dir)(image, ["what colour is the ball?"])`.

    The questions stand where other predictors take labels.
    """

    hub_task = "visual-question-answering"
    questions: tuple[str, ...] = ()

    @classmethod
    def handles(cls, model: torch.nn.Module) -> bool:
        """What answers questions about a picture."""
        return callable(getattr(model, "answer", None)) and hasattr(model, "answers")

    def set_labels(self, labels: Any = None) -> tuple[str, ...]:
        """The questions of the next calls; one may be given alone.

        Raises:
            ClipkitError: no question.
        """
        if labels is not None:
            self.questions = (labels,) if isinstance(labels, str) else tuple(labels)
        if not self.questions or not all(isinstance(one, str) and one.strip() for one in self.questions):
            raise ClipkitError('this model answers questions: give them, --ask "what colour is the ball?"')
        return self.questions

    def predict(self, images: Sequence[np.ndarray], names: tuple[str, ...]) -> list[Answers]:
        """Of each picture the answers to all questions."""
        return [self._one(np.ascontiguousarray(rgb), names) for rgb in images]

    def _one(self, rgb: np.ndarray, questions: tuple[str, ...]) -> Answers:
        scores, looked = self.model.answer(rgb, questions)
        found = Answers()
        for question, row, where in zip(questions, scores, looked):
            best = row.topk(min(SHOWN, len(row)))
            names = [self.model.answers[i] for i in best.indices.tolist()]
            found.append(Answer(question, list(zip(names, best.values.tolist())), where.float(), rgb))
        return found


class AnswerFiles(ImageFiles):
    """`<stem>.json`, and `<stem>_answer.png`: where was looked for each question."""

    picture = "answer.png"
    reserved: frozenset[str] = frozenset()

    def __init__(self, answerer: Answerer, labels: Any, out: Path, min_score: float = 0.0) -> None:
        self.predictor, self.labels, self.out = answerer, labels, out

    def save(self, result: Answers, file: str | Path, stem: str) -> str:
        """Writes one image's files; returns what to print: the answers."""
        save_picture(result.plot(self.beside), self.out / f"{stem}_answer.png")
        height, width = result[0].image.shape[:2]
        answers = [
            {"question": one.question, "answers": [{"answer": name, "score": round(s, 4)} for name, s in one.answers]}
            for one in result
        ]
        record = {"image": str(file), "size": [width, height], "answers": answers}
        write_text(self.out / f"{stem}.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        said = []
        for one in result:
            (best, score), *others = one.answers
            rest = ", ".join(f"{name} {100 * value:.0f} %" for name, value in others[:2])
            said.append(f"{one.question} {best} {100 * score:.0f} %" + (f" ({rest})" if rest else ""))
        return "; ".join(said)

    def finish(self) -> None:
        """Nothing is written for all images together."""
