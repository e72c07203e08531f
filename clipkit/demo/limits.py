"""What one question may cost: bytes, pixels, words and seconds. Pictures come as data, never as addresses."""

from __future__ import annotations

import base64
import binascii
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np

from clipkit.errors import ClipkitError, shown
from clipkit.safe import PICTURE_ERRORS, open_picture, read_bytes
from clipkit.text import Vocabulary

LETTERS = 80  # of a word, or a question


class OutOfTimeError(ClipkitError):
    """A question took longer than it may."""


@dataclass(frozen=True)
class Limits:
    """Of one question.

    Attributes:
        megabytes: of a picture's file.
        megapixels: of a picture.
        words: with synonyms; or questions.
        seconds: that the models compute.
    """

    megabytes: float = 10
    megapixels: float = 12
    words: int = 64
    seconds: float = 60

    @property
    def body(self) -> int:
        """Bytes of the request that carries a picture: base64 takes four for three, beside the words."""
        return int(self.megabytes * 2**20 * 4 / 3) + 2**16

    def picture(self, data: object) -> np.ndarray:
        """The picture (H, W, 3) uint8 RGB of `data:…;base64,…`, upright.

        Raises:
            ClipkitError: there is none, it is no picture, or too large.
        """
        if not data:
            raise ClipkitError("no picture yet: choose a file, paste one, or take the example")
        head, _, content = str(data).partition(",")
        if not (head.startswith("data:") and head.endswith(";base64")):
            raise ClipkitError("a picture must be chosen or pasted; addresses are not fetched")
        if len(content) > self.body:
            raise ClipkitError(f"the picture's file is larger than {self.megabytes:g} MB: make it smaller")
        try:
            file = base64.b64decode(content, validate=True)
        except binascii.Error:
            raise ClipkitError("the picture arrived damaged: choose it again") from None
        if len(file) > self.megabytes * 2**20:
            raise ClipkitError(f"the picture's file is larger than {self.megabytes:g} MB: make it smaller")
        with suppress(*PICTURE_ERRORS), open_picture(io.BytesIO(file), check=False) as image:
            if image.width * image.height > self.megapixels * 1e6:
                raise ClipkitError(
                    f"the picture has {image.width} x {image.height} pixels, more than {self.megapixels:g} million: "
                    "make it smaller"
                )
        return read_bytes(file, "the picture")

    def vocabulary(self, text: str) -> Vocabulary | None:
        """'cat, bench; park bench' as a `Vocabulary`; None of an empty text.

        Raises:
            ClipkitError, ValueError: too many words, too long ones, or one twice.
        """
        if not text.strip():
            return None
        # Before it is parsed: each `,` and `;` ends a word.
        self._count(text.count(",") + text.count(";") + 1, "words")
        vocabulary = Vocabulary.parse(text)
        self._measure([word for group in vocabulary.words for word in group])
        return vocabulary

    def questions(self, text: str) -> list[str]:
        """One a line.

        Raises:
            ClipkitError: none, too many, or too long ones.
        """
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            raise ClipkitError('no question yet, such as "what colour is the star?"')
        self._count(len(lines), "questions")
        self._measure(lines)
        return lines

    def one(self, text: str) -> str:
        """A text to look for or to draw.

        Raises:
            ClipkitError: none, or it is too long.
        """
        if not text.strip():
            raise ClipkitError("no words yet")
        self._measure([text.strip()])
        return text.strip()

    def _count(self, number: int, what: str) -> None:
        if number > self.words:
            raise ClipkitError(f"{number} {what} are more than {self.words}: leave some out")

    @staticmethod
    def _measure(texts: list[str]) -> None:
        for text in texts:
            if len(text) > LETTERS:
                raise ClipkitError(f'"{shown(text, 20)}" has {len(text)} letters, more than {LETTERS}: shorten it')

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Ends what this thread computes after `seconds`: each module of each network looks at the clock first.

        Raises:
            OutOfTimeError: inside.
        """
        from torch.nn.modules.module import register_module_forward_pre_hook

        end, mine = time.monotonic() + self.seconds, threading.get_ident()

        def look(module: object, inputs: object) -> None:
            if time.monotonic() > end and threading.get_ident() == mine:
                raise OutOfTimeError(f"stopped after {self.seconds:g} seconds: a smaller picture or fewer words may do")

        handle = register_module_forward_pre_hook(look)
        try:
            yield
        finally:
            handle.remove()
