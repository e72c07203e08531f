"""What is looked for, words or a picture, as one vector in CLIP's space."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from clipkit.backbone import ClipModel
from clipkit.data.picture import Picture
from clipkit.errors import ClipkitError
from clipkit.search.media import Moment
from clipkit.search.sheet import contact_sheet, interval

AWAY = 0.25
"""w of `text_vector`: at 1 what to avoid would weigh as much as what is looked for."""


def signs(text: str) -> tuple[str, tuple[str, ...]]:
    """'red ball, not grass' -> ('red ball', ('grass',)): parts between commas that begin with `not`, and the rest.

    Raises:
        ClipkitError: no words.
    """
    parts = [part.split() for part in text.split(",")]
    away = tuple(" ".join(words[1:]) for words in parts if len(words) > 1 and words[0].lower() == "not")
    wanted = ", ".join(" ".join(words) for words in parts if words and words[0].lower() != "not")
    if not (wanted or away):
        raise ClipkitError('nothing to look for: give words, "a red ball, not grass", or a picture')
    return wanted, away


@torch.no_grad()
def text_vector(clip: ClipModel, text: str) -> np.ndarray:
    """`(D,)` float32: q = t(wanted) - w · mean of t(unwanted), t of unit length, w = 0.25; see `signs`."""
    wanted, away = signs(text)
    rows = clip.encode_text([*([wanted] if wanted else []), *away]).float().cpu().numpy()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    first = rows[0] if wanted else np.zeros_like(rows[0])
    unwanted = rows[1:] if wanted else rows
    return first - AWAY * unwanted.mean(0) if away else first


def check_question(top: int, between: tuple[float, float] | None) -> None:
    """Raises ClipkitError where no answer is asked for, or seconds that end before they begin."""
    if top < 1:
        raise ClipkitError(f"top: at least one answer is asked for, got {top}")
    if between is not None and not between[0] <= between[1]:
        raise ClipkitError(f"between: needs a first second and a last one, got {between[0]:g} and {between[1]:g}")


def direction(query: np.ndarray) -> np.ndarray:
    """`(D,)` of unit length; raises ClipkitError where it has none, or is not finite."""
    length = np.linalg.norm(query)
    if not 0 < length < np.inf:
        raise ClipkitError(f"the query's vector has the length {length:g}, and no direction")
    return query / length


@dataclass
class Found(Picture, Sequence[Moment]):
    """Answers of a search, best first.

    Attributes:
        query: what was asked for.
        moments: where it is.
    """

    query: str
    moments: list[Moment]

    def __getitem__(self, index: Any) -> Any:
        return self.moments[index]

    def __len__(self) -> int:
        return len(self.moments)

    def __repr__(self) -> str:
        return "\n".join(f"{m.score:.3f}  {interval(m):>15}  {m.path}" for m in self.moments) or "nothing"

    def json(self) -> str:
        """One array: path, score (a cosine), start, end, time (seconds) and frame of each answer."""
        return json.dumps([vars(moment) for moment in self.moments], indent=1)

    def plot(self) -> Image.Image:
        """Thumbnails with file, time and score."""
        return Image.fromarray(contact_sheet(self.query, self.moments))
