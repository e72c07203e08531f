"""Prompts for training: lists of names with negatives among them, and captions whose phrases name objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clipkit.detection.prompts import Prompt, list_prompt
from clipkit.engine.class_names import read_classes
from clipkit.engine.registry import TRANSFORMS
from clipkit.errors import ClipkitError


@TRANSFORMS.register_module()
class GroundingPrompt:
    """Draws what a picture is asked in this step; stands before the step that packs, whose `meta_keys` need `prompt`
    and `object_phrases`.

    A prompt is the sample's caption (`caption`, and `caption_objects`: of each object the phrases that name it), or a
    list: the names of the picture's objects in any order, among names of what is not there. Objects that the prompt
    does not name are left out (GLIP, section 3.1 and appendix).

    Args:
        classes: names that lists are drawn from; see `read_classes`. An object's name is `object_names[label]` where
            the data set gives that, else `classes[label]`. None: captions alone.
        names: least and greatest number of names in a list; all of the picture's own are in it, whatever their number.
        hard: share of the other names that have a word in common with one of the picture's, as far as there are such.
        empty: share of lists without any of the picture's names.
        single: share of lists that are one of the picture's names alone.
        captions: share of captions where a sample has one and `classes` are given.

    Raises:
        ClipkitError: neither classes nor a caption.
    """

    def __init__(
        self,
        classes: str | Sequence[str] | None = None,
        names: tuple[int, int] = (6, 12),
        hard: float = 0.5,
        empty: float = 0.25,
        single: float = 0.0,
        captions: float = 0.25,
    ):
        self.classes = None if classes is None else read_classes(classes)
        self.names, self.hard, self.empty, self.single, self.captions = tuple(names), hard, empty, single, captions
        self._words = {name: frozenset(name.lower().split()) for name in self.classes or ()}

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """mmdet's results, with `prompt`, a `Prompt`, and `object_phrases`: of each object left the phrases that name
        it."""
        labels = [int(label) for label in results["gt_bboxes_labels"]]
        caption: Prompt | None = results.get("caption")
        if self.classes is None or (caption is not None and np.random.random() < self.captions):
            if caption is None:
                raise ClipkitError(f"{results.get('img_path', 'a sample')}: has no caption, and no classes are given")
            prompt, owned = caption, [tuple(results["caption_objects"][label]) for label in labels]
        else:
            named = results.get("object_names") or self.classes
            own = [named[label] for label in labels]
            names = self._draw(list(dict.fromkeys(own)))
            place = {name: i for i, name in enumerate(names)}
            prompt, owned = list_prompt(names), [(place[name],) if name in place else () for name in own]
        kept = np.array([bool(phrases) for phrases in owned], dtype=bool)
        for key in ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags", "gt_masks"):
            if key in results:
                results[key] = results[key][kept]
        return {**results, "prompt": prompt, "object_phrases": [phrases for phrases in owned if phrases]}

    def _draw(self, own: list[str]) -> list[str]:
        """The names of a list, in the order in which they are asked."""
        assert self.classes is not None
        known = [name for name in own if name in self._words]
        if known and np.random.random() < self.single:
            return [known[np.random.randint(len(known))]]
        asked = [] if np.random.random() < self.empty else known
        others = [name for name in self.classes if name not in set(own)]
        wanted = np.random.randint(self.names[0], self.names[1] + 1) - len(asked)
        words = frozenset().union(*(self._words.get(name, frozenset()) for name in own))
        near = [name for name in others if self._words[name] & words]
        found = _some(near, round(self.hard * wanted))
        taken = set(found)
        found += _some([name for name in others if name not in taken], wanted - len(found))
        names = [*asked, *found] or known  # where all names are the picture's
        return [names[i] for i in np.random.permutation(len(names))]

    def __repr__(self) -> str:
        return f"GroundingPrompt({len(self.classes or ())} classes, names={self.names}, captions={self.captions})"


def _some(names: Sequence[str], count: int) -> list[str]:
    """Up to `count` of the names, each once."""
    return [names[i] for i in np.random.permutation(len(names))[: max(count, 0)]]
