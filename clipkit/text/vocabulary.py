"""Class names with synonyms, prompts and a background policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from clipkit.errors import some
from clipkit.text._background import Background
from clipkit.text._class_file import read_class_file
from clipkit.text._match import LabelMatch, match_key, match_labels
from clipkit.text.label_file import read_label_file
from clipkit.text.templates import fill, get_templates


class Vocabulary:
    """An ordered list of classes, as words. The order is the caller's, always.

    Args:
        names: one name a class; no two the same (case, `_` and spaces do not count).
        synonyms: further words for a class: a mapping `name -> words`, or one sequence of words a name.
        templates: the prompt ensemble, see `get_templates`: a set's name such as 'openai', or format strings.
        reduce: how a class's synonyms become one score: 'mean' averages their embeddings into one row, 'max' keeps a
            row for each and takes the best score.
        background: None, 'none', 'others', 'learned', a threshold in (0, 1), a list of words, or a `Background`.

    Raises:
        ValueError: for an empty list, an empty or repeated name, synonyms of an unknown name, an unknown option.
    """

    def __init__(
        self,
        names: Sequence[str],
        synonyms: Mapping[str, Sequence[str]] | Sequence[Sequence[str]] | None = None,
        templates: str | Sequence[str | Callable[[str], str]] = ("{}",),
        reduce: str = "mean",
        background: Background | str | float | Sequence[str] | None = None,
    ) -> None:
        if isinstance(names, str):
            raise ValueError(f"names must be a list; for the string {names!r} use Vocabulary.parse")
        self.names = tuple(name.strip() for name in names)
        if not self.names:
            raise ValueError('no label is given: write for instance "cat, dog; puppy, grass"')
        seen: dict[str, str] = {}
        for name in self.names:
            key = match_key(name)
            if not key:
                raise ValueError("a vocabulary has an empty name")
            if key in seen:
                raise ValueError(f"vocabulary: class {name!r} is given twice (also as {seen[key]!r})")
            seen[key] = name
        if reduce not in ("mean", "max"):
            raise ValueError(f"reduce={reduce!r} is unknown; known: mean, max")
        self.synonyms = _align_synonyms(self.names, synonyms)
        self.templates = get_templates(templates)
        self.reduce = reduce
        self.background = Background.of(background)

    @classmethod
    def parse(cls, text: str, **options) -> Vocabulary:
        """Reads 'cat; kitten, dog, traffic light': a comma or a new line between classes, `;` between a class and its
        synonyms.

        Args:
            text: the labels. A name that holds a comma needs a label file.
            **options: `templates`, `reduce`, `background`.

        Raises:
            ValueError: besides those of the constructor, for labels in quotes or brackets, which would be part of them.
        """
        bare = text.strip()
        if len(bare) > 1 and bare[0] + bare[-1] in ("''", '""', "[]"):
            raise ValueError(
                f'labels {bare[:60]}: write them without {bare[0]}{bare[-1]}, for instance "cat, dog; puppy"'
            )
        parts = re.split("[,\n]", text)
        groups = [[word.strip() for word in part.split(";") if word.strip()] for part in parts]
        return cls._from_groups([tuple(group) for group in groups if group], **options)

    @classmethod
    def from_file(cls, path: str | Path, separator: str | None = None, **options) -> Vocabulary:
        """Reads a label file: one class a line, `name; synonym; …`, UTF-8, `#` comments; the same with numbers in front
        (`1: name`); or JSON, see `read_label_file`. Errors name file and line.

        Args:
            path: the file.
            separator: what stands between the words of a line in the class-name files of other projects, see
                `read_class_file`; None for clipkit's own format.
            **options: `templates`, `reduce`, `background`.
        """
        groups = read_label_file(path) if separator is None else read_class_file(path, separator)
        lines: dict[str, int] = {}
        for number, words in enumerate(groups, start=1):
            if lines.setdefault(match_key(words[0]), number) != number:
                first = lines[match_key(words[0])]
                raise ValueError(f"{path}:{number}: class {words[0]!r} is already in line {first}")
        return cls._from_groups(groups, **options)

    @classmethod
    def _from_groups(cls, groups: Sequence[tuple[str, ...]], **options) -> Vocabulary:
        return cls([g[0] for g in groups], synonyms=[g[1:] for g in groups], **options)

    def __len__(self) -> int:
        """The number of classes, background not counted."""
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __repr__(self) -> str:
        shown = some(self.names, 5)
        return f"Vocabulary({len(self)}: {shown}; {len(self.templates)} templates, background {self.background.kind})"

    @property
    def words(self) -> list[tuple[str, ...]]:
        """One `(name, synonym, …)` a class."""
        return [(name, *more) for name, more in zip(self.names, self.synonyms)]

    def prompts(self, word: str) -> list[str]:
        """The word in every template, in the templates' order."""
        return [fill(template, word) for template in self.templates]

    def match(self, classes: Sequence[str] | Vocabulary) -> LabelMatch:
        """Matches these labels to a data set's classes by name or synonym; case, `_` and spaces do not count.

        A label that no class has is a distractor: it competes and can only cost. A class without a label is left out
        of the score and listed. Several labels may stand for one class.

        Args:
            classes: the data set's class names, or a `Vocabulary` whose synonyms count too.

        Raises:
            ValueError: if a label's words belong to two classes and no name decides.
        """
        groups = classes.words if isinstance(classes, Vocabulary) else [(name,) for name in classes]
        return match_labels(self.words, groups)


def _align_synonyms(
    names: tuple[str, ...], synonyms: Mapping[str, Sequence[str]] | Sequence[Sequence[str]] | None
) -> tuple[tuple[str, ...], ...]:
    if synonyms is None:
        return tuple(() for _ in names)
    if isinstance(synonyms, Mapping):
        unknown = [name for name in synonyms if name not in names]
        if unknown:
            raise ValueError(f"synonyms are given for {unknown[0]!r}, which is not among the names")
        rows: list[Sequence[str]] = [synonyms.get(name, ()) for name in names]
    else:
        rows = list(synonyms)
        if len(rows) != len(names):
            raise ValueError(f"synonyms: {len(rows)} lists for {len(names)} names")
    out = []
    for name, words in zip(names, rows):
        if isinstance(words, str):
            raise ValueError(f"synonyms of {name!r} must be a list of words, got the string {words!r}")
        # A repeat would count twice in a mean; the name itself is no synonym.
        kept = {match_key(name): name}
        for word in words:
            if match_key(word):
                kept.setdefault(match_key(word), word.strip())
        out.append(tuple(kept.values())[1:])
    return tuple(out)
