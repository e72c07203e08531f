"""Which test-time label stands for which class of a data set."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass


def match_key(name: str) -> str:
    """Two spellings are the same name if they agree in this: case, `_` and runs of spaces do not count, nor whether an
    accent is a character of its own, as in names of files from a Mac."""
    return " ".join(unicodedata.normalize("NFC", name.replace("_", " ").casefold()).split())


@dataclass(frozen=True)
class LabelMatch:
    """The result of `Vocabulary.match`.

    Attributes:
        label_to_class: for each label, the index of the data set's class, or -1 for a distractor.
        class_to_labels: for each class, the labels that stand for it (empty: the class is ignored).
        distractors: labels that no class has; they compete in the prediction and can only cost.
        ignored: class names that no label stands for; they are left out of the score.
        ignored_indices: their indices.
    """

    label_to_class: tuple[int, ...]
    class_to_labels: tuple[tuple[int, ...], ...]
    distractors: tuple[str, ...]
    ignored: tuple[str, ...]
    ignored_indices: tuple[int, ...]

    def summary(self) -> str:
        """One line for a log: what was matched, what was not."""
        matched = sum(c >= 0 for c in self.label_to_class)
        out = f"{matched} of {len(self.label_to_class)} labels match {len(self.class_to_labels)} classes"
        if self.distractors:
            out += f"; distractors: {', '.join(self.distractors)}"
        if self.ignored:
            out += f"; classes left out of the score: {', '.join(self.ignored)}"
        return out


def match_labels(labels: Iterable[tuple[str, ...]], classes: Iterable[tuple[str, ...]]) -> LabelMatch:
    """Matches word groups, each `(name, synonym, …)`. A name beats a synonym.

    Raises:
        ValueError: if a label could stand for two classes and no name decides.
    """
    labels, classes = list(labels), list(classes)
    by_name: dict[str, set[int]] = {}
    by_any: dict[str, set[int]] = {}
    for index, words in enumerate(classes):
        by_name.setdefault(match_key(words[0]), set()).add(index)
        for word in words:
            by_any.setdefault(match_key(word), set()).add(index)

    to_class = []
    for words in labels:
        keys = [match_key(word) for word in words]
        # From the surest to the weakest: name to name, name to synonym, synonym to name, synonym to synonym.
        attempts = (by_name.get(keys[0], set()), by_any.get(keys[0], set()))
        rest = (_union(by_name, keys[1:]), _union(by_any, keys[1:]))
        found = next((hit for hit in (*attempts, *rest) if hit), set())
        if len(found) > 1:
            names = ", ".join(repr(classes[i][0]) for i in sorted(found))
            raise ValueError(f"label {words[0]!r} could stand for the classes {names}: give one class's own name")
        to_class.append(found.pop() if len(found) == 1 else -1)

    back: list[list[int]] = [[] for _ in classes]
    for label, index in enumerate(to_class):
        if index >= 0:
            back[index].append(label)
    missing = tuple(i for i, found_labels in enumerate(back) if not found_labels)
    return LabelMatch(
        label_to_class=tuple(to_class),
        class_to_labels=tuple(tuple(b) for b in back),
        distractors=tuple(words[0] for words, index in zip(labels, to_class) if index < 0),
        ignored=tuple(classes[i][0] for i in missing),
        ignored_indices=missing,
    )


def _union(table: dict[str, set[int]], keys: list[str]) -> set[int]:
    return set().union(*(table.get(key, set()) for key in keys))
