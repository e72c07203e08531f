"""What stands behind `--cfg-options key=…`: Python literals, lists of texts, and texts as they are."""

from __future__ import annotations

import ast
from typing import Any

from clipkit.errors import ClipkitError

_OPEN, _QUOTES = {"[": "]", "(": ")", "{": "}"}, "'\""


class Options(dict[str, Any]):
    """Dotted key -> value, with what was written for each in `texts`."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}

    def for_text(self, key: str, now: str | None) -> Any:
        """The value where the text `now` stands: a folder may be called 2024, 1e5 or true, and in place of a path also
        None. `null` takes any away."""
        value, text = self[key], self.texts[key]
        if value is None:
            return text if now and "/" in now and text.strip() != "null" else None
        return text if isinstance(value, (bool, int, float, complex)) else value


def parse_options(items: list[str] | tuple[str, ...]) -> Options:
    """`["a.b=1", "c=x"]` as `{"a.b": 1, "c": "x"}`. Values are Python literals; what is none is text, spaces and
    commas included; `[a, b]` without quotes is a list of texts, `(a, b)` a tuple of them."""
    options = Options()
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise ClipkitError(f'--cfg-options "{item}": write key=value, for example train_cfg.max_iters=100')
        options[key.strip()] = parse_value(text)
        options.texts[key.strip()] = text
    return options


def parse_value(text: str) -> Any:
    """The value of one text."""
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered in ("none", "null"):
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    items = _split(text.strip()) if text.strip()[:1] in ("[", "(") else None
    if items is None or (text.strip()[0] == "(" and len(items) == 1):
        return text
    values = [parse_value(item.strip()) for item in items if item.strip()]
    return values if text.strip()[0] == "[" else tuple(values)


def _split(text: str) -> list[str] | None:
    """What stands between the commas of a bracket; None where the bracket closes before the text ends: `(copy) masks`.

    Raises:
        ClipkitError: it never closes.
    """
    waiting: list[str] = []
    quote, parts = "", [""]
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES and not parts[-1].strip():  # an apostrophe inside a word is none
            quote = letter
        elif letter in _OPEN:
            waiting.append(_OPEN[letter])
            if len(waiting) == 1:
                continue
        elif waiting and letter == waiting[-1]:
            waiting.pop()
            if not waiting:
                return parts if place == len(text) - 1 else None
        elif letter == "," and len(waiting) == 1:
            parts.append("")
            continue
        parts[-1] += letter
    raise ClipkitError(f"--cfg-options: the bracket of {text[:60]} is not closed")
