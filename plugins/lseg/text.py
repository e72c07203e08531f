"""Where the rows of LSeg's classifier come from: a frozen CLIP's text tower, or a file of embeddings made elsewhere."""

import difflib
from collections.abc import Mapping, Sequence

from torch import nn

from clipkit.backbone import FrozenCLIP
from clipkit.errors import ClipkitError
from clipkit.text import TextBank, TextEmbeddings, Vocabulary, load_embeddings


def as_vocabulary(labels, templates: Sequence[str] = ("{}",)) -> Vocabulary:
    """A Vocabulary as it is; 'a, b; synonym' parsed; a list of names with `templates`."""
    if isinstance(labels, Vocabulary):
        return labels
    if isinstance(labels, str):
        return Vocabulary.parse(labels, templates=templates)
    return Vocabulary(list(labels), templates=templates)


class ClipText(nn.Module):
    """Rows from the text tower of a frozen CLIP, encoded once per vocabulary.

    Args:
        clip: name for `FrozenCLIP.from_pretrained`, or `tiny_shapes` for the CLIP that clipkit ships.
        pretrained: tag, path or None (random weights).
        templates: prompts for names; LSeg uses the bare label.
        cache_dir: folder where rows are kept between runs; None keeps nothing.
    """

    def __init__(
        self,
        clip: str = "tiny_shapes",
        pretrained: str | None = None,
        templates: Sequence[str] = ("{}",),
        cache_dir: str | None = None,
    ):
        super().__init__()
        if clip == "tiny_shapes":
            from clipkit.shapes import tiny_clip

            self.clip = tiny_clip()
        else:
            self.clip = FrozenCLIP.from_pretrained(clip, pretrained)
        self.templates = tuple(templates)
        self.cache_dir = cache_dir
        self.embed_dim = self.clip.embed_dim

    def encode(self, vocabulary: Vocabulary) -> TextEmbeddings:
        """Rows of length 1 for every class of the vocabulary."""
        return TextBank(self.clip, cache_dir=self.cache_dir).encode(vocabulary)

    def lacks(self, names: Sequence[str]) -> list[str]:
        """Names that have no row: none, a text tower encodes anything."""
        return []


class PrecomputedText(nn.Module):
    """Rows from a file of embeddings (.npy with names in a .json beside it, .npz, .safetensors). No CLIP is loaded.

    Args:
        path: the file; names beside it unless `names_path` says where.
        stand_ins: class name -> name in the file, where the two differ (`{'Pedestrian': 'person'}`).
            A declared replacement, not a guess: names are otherwise matched as written, without regard to case.
    """

    clip = None
    templates = ("{}",)

    def __init__(self, path: str, names_path: str | None = None, stand_ins: Mapping[str, str] | None = None):
        super().__init__()
        self.path = path
        self.table = load_embeddings(path, names_path)
        self.index: dict[str, int] = {}
        for i, name in enumerate(self.table.names):
            self.index.setdefault(name.casefold(), i)
        self.stand_ins = {key.casefold(): value for key, value in (stand_ins or {}).items()}
        for value in self.stand_ins.values():
            if value.casefold() not in self.index:
                raise ClipkitError(f"stand-in '{value}' is not in {path}; {self._near(value)}")
        self.embed_dim = int(self.table.matrix.shape[1])

    def _near(self, name: str) -> str:
        near = difflib.get_close_matches(name.casefold(), list(self.index), n=3)
        return f"near names: {', '.join(near)}" if near else f"it holds {len(self.index)} other names"

    def encode(self, vocabulary: Vocabulary) -> TextEmbeddings:
        """Rows of length 1: of a class's first word, name or synonym, that the file has.

        Raises:
            ClipkitError: names that the file lacks.
        """
        places = [self._place(words) for words in vocabulary.words]
        missing = [name for name, place in zip(vocabulary.names, places) if place is None]
        if missing:
            raise ClipkitError(f"no embedding for {', '.join(missing)} in {self.path}; {self._near(missing[0])}")
        return TextEmbeddings(names=vocabulary.names, matrix=self.table.matrix[places])

    def lacks(self, names: Sequence[str]) -> list[str]:
        """Names that have no row in the file, stand-ins considered."""
        return [name for name in names if self._place((name,)) is None]

    def _place(self, words: Sequence[str]) -> int | None:
        keys = [self.stand_ins.get(word.casefold(), word).casefold() for word in words]
        return next((self.index[key] for key in keys if key in self.index), None)


def build_text(config: Mapping) -> ClipText | PrecomputedText:
    """`dict(clip=...)` -> ClipText, `dict(path=...)` -> PrecomputedText."""
    config = dict(config)
    if ("clip" in config) == ("path" in config):
        raise ClipkitError("text= needs either clip='name of a CLIP' or path='file of embeddings'")
    return ClipText(**config) if "clip" in config else PrecomputedText(**config)
