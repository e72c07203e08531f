"""Which words of a caption are asked for: the second kind of text that GroupViT learns from (section 3.2)."""

import json
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from mmcv.transforms import BaseTransform

from clipkit.engine.registry import TRANSFORMS
from clipkit.errors import ClipkitError
from clipkit.text import get_templates
from clipkit.text.label_file import read_lines
from clipkit.text.templates import fill

NOUNS = ("NN", "NNS", "NNP")
VERBS = ("VB", "VBD", "VBG", "VBN", "VBP", "VBZ")
"""nltk's tags that the original takes words of: its "nouns" are verbs too."""


@TRANSFORMS.register_module()
class PickPhrases(BaseTransform):
    """Sets `phrases`, a list of prompts, from what `source` finds in the caption.

    Args:
        source: 'stored': phrases that the data hold, in `results["nouns"]`; 'words': words of the list in `words`;
            'nltk': nouns and verbs by nltk's tagger, whose data must be on the machine.
        count: so many of them, drawn without replacement; fewer are filled up with the caption, as the original does
            (3). None: all.
        templates: one is drawn for each phrase, see `clipkit.text.get_templates`.
        words: a file, one word or phrase a line, for `source='words'`.

    Raises:
        ClipkitError: an unknown source, a list that cannot be read, or nltk without its data.
    """

    def __init__(
        self,
        source: str = "stored",
        count: int | None = 3,
        templates: str | Sequence[str] = ("{}",),
        words: str | None = None,
    ) -> None:
        if source not in ("stored", "words", "nltk"):
            raise ClipkitError(f"PickPhrases(source={source!r}) is unknown; known: stored, words, nltk")
        if (source == "words") != (words is not None):
            raise ClipkitError("PickPhrases: words= is the list of source='words'")
        if source == "nltk":
            nouns_by_nltk("a test")  # before a run, not in its first batch
        self.source, self.count, self.templates = source, count, get_templates(templates)
        self.words = (
            frozenset()
            if words is None
            else frozenset(line.strip().lower() for line in read_lines(words) if line.strip())
        )
        self.longest = max((len(word.split()) for word in self.words), default=1)

    def find(self, results: dict) -> list[str]:
        """The different phrases of a caption, in its order."""
        if self.source == "stored":
            return list(dict.fromkeys(results["nouns"]))
        if self.source == "nltk":
            return nouns_by_nltk(results["caption"])
        return listed(results["caption"], self.words, self.longest)

    def transform(self, results: dict) -> dict:
        """Adds `phrases`; draws from numpy's generator, as other transforms do."""
        found = self.find(results)
        if self.count is not None:
            if len(found) > self.count:
                found = [found[i] for i in np.random.permutation(len(found))[: self.count]]
            found = found + [None] * (self.count - len(found))  # type: ignore[list-item]
        caption = results["caption"]
        drawn = [self.templates[np.random.randint(len(self.templates))] for _ in found]
        results["phrases"] = [caption if p is None else fill(t, p) for t, p in zip(drawn, found)] or [caption]
        return results


def listed(caption: str, words: frozenset[str], longest: int) -> list[str]:
    """The longest entries of a list at each place of a caption: "red circle" before "red"."""
    parts = "".join(c if c.isalnum() or c in "'-" else " " for c in caption.lower()).split()
    found, start = [], 0
    while start < len(parts):
        sizes = range(min(longest, len(parts) - start), 0, -1)
        size = next((n for n in sizes if " ".join(parts[start : start + n]) in words), 0)
        if size:
            found.append(" ".join(parts[start : start + size]))
        start += max(size, 1)
    return list(dict.fromkeys(found))


@lru_cache(maxsize=2**16)
def _tagged(caption: str) -> str:
    import nltk

    words = nltk.word_tokenize(caption)
    return json.dumps(nltk.pos_tag(words))


def nouns_by_nltk(caption: str) -> list[str]:
    """Words of the original's tags, in the caption's order.

    Raises:
        ClipkitError: nltk or its data are not on the machine; nothing is downloaded.
    """
    try:
        tags = json.loads(_tagged(caption))
    except ImportError:
        raise ClipkitError("PickPhrases(source='nltk') needs the package nltk: pip install nltk") from None
    except LookupError:
        raise ClipkitError(
            "PickPhrases(source='nltk') needs nltk's data on this machine: python -m nltk.downloader punkt_tab "
            "averaged_perceptron_tagger_eng"
        ) from None
    return list(dict.fromkeys(word for word, tag in tags if tag in (*NOUNS, *VERBS)))
