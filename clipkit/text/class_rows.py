"""Where a classifier of words gets its rows: a frozen CLIP's text tower, or a file of embeddings made elsewhere."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clipkit.backbone.options import build_frozen, clip_options
from clipkit.errors import ClipkitError
from clipkit.text import TextBank, TextEmbeddings, Vocabulary, get_templates, load_embeddings


def as_vocabulary(labels, templates: Sequence[str] = ("{}",), reduce: str = "mean") -> Vocabulary:
    """A Vocabulary as it is; 'a, b; synonym' parsed, a list of names, with `templates` and `reduce`."""
    if isinstance(labels, Vocabulary):
        return labels
    if isinstance(labels, str):
        return Vocabulary.parse(labels, templates=templates, reduce=reduce)
    return Vocabulary(list(labels), templates=templates, reduce=reduce)


class ClipText(nn.Module):
    """Rows from the text tower of a frozen CLIP, encoded once per vocabulary.

    Args:
        clip: a name, or `dict(name=..., pretrained=..., precision=...)`, see `FrozenCLIP.from_pretrained`; `tiny_clip`
            is the CLIP that clipkit ships.
        pretrained: belongs into `clip`; read here until 1.0.
        templates: prompts for names; LSeg uses the bare label. A set's name or a list, see `get_templates`.
        cache_dir: folder where rows are kept between runs; None keeps them in memory only.
        dense: variant of the CLIP's dense map, see `FrozenCLIP.from_pretrained`.
        whiten: names that are to lie in equally different directions: their mean is subtracted from every row and their
            covariance is made the identity. For a text tower that was not trained on such names: it gives them almost
            one direction (cosines of 0.999), which no bounded temperature can tell apart. A row depends on these
            names, never on the other labels; differences among labels far from these names are distorted.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any] = "tiny_clip",
        pretrained: str | None = None,
        templates: str | Sequence[str] = ("{}",),
        cache_dir: str | None = None,
        dense: str = "maskclip",
        whiten: Sequence[str] | None = None,
    ):
        super().__init__()
        self.clip = build_frozen({"dense": dense, **clip_options(clip, pretrained=pretrained)})
        self.templates = get_templates(templates)
        self.bank = TextBank(self.clip, cache_dir=cache_dir)
        self.embed_dim = self.clip.embed_dim
        self.whitening: tuple[torch.Tensor, torch.Tensor] | None = None
        if whiten is not None:
            if len(set(whiten)) < 2:
                raise ClipkitError("whiten= needs at least two names: one has no direction among others")
            self.whitening = _whitening(self.encode(as_vocabulary(list(whiten), self.templates)).matrix)

    def encode(self, vocabulary: Vocabulary) -> TextEmbeddings:
        """Rows of length 1 for every class of the vocabulary."""
        found = self.bank.encode(vocabulary)
        found.matrix = self._whitened(found.matrix)
        return found

    def encode_words(self, words: Sequence[str]) -> torch.Tensor:
        """Rows of length 1 for single words in this text's templates, (len(words), D); repeats are allowed."""
        return self._whitened(self.bank.encode_words(words, self.templates))

    def _whitened(self, rows: torch.Tensor) -> torch.Tensor:
        if self.whitening is None:
            return rows
        mean, matrix = self.whitening
        return F.normalize((rows.double() - mean) @ matrix, dim=-1).float()

    def lacks(self, names: Sequence[str]) -> list[str]:
        """Names that have no row: none, a text tower encodes anything."""
        return []


def _whitening(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean `(D,)` and map `(D, D)`, float64, after which the centred rows `(N, D)` have identity covariance in the at
    most N - 1 dimensions that they span: with X = U S V^T the map is V S^-1 V^T."""
    mean = rows.double().mean(0)
    _, size, basis = torch.linalg.svd(rows.double() - mean, full_matrices=False)
    kept = size > 1e-6 * size[0]  # the last one is rounding: N centred rows span N - 1 dimensions
    return mean, basis[kept].T @ (basis[kept] / size[kept, None])


class PrecomputedText(nn.Module):
    """Rows from files of embeddings (.npy with names in a .json beside it, .npz, .safetensors). No CLIP is loaded.

    Args:
        path: the file, or several of the same model; the first that has a name gives its row.
        stand_ins: class name -> name in the files, where the two differ (`{'Pedestrian': 'person'}`).
            A declared replacement, not a guess: names are otherwise matched as written, without regard to case.

    Raises:
        ClipkitError: files of different widths, or a stand-in that none of them has.
    """

    clip = None
    templates = ("{}",)

    def __init__(self, path: str | Sequence[str], stand_ins: Mapping[str, str] | None = None):
        super().__init__()
        paths = [path] if isinstance(path, str) else list(path)
        self.path = " and ".join(paths)
        tables = [load_embeddings(p) for p in paths]
        if len({table.dim for table in tables}) != 1:
            widths = ", ".join(str(table.dim) for table in tables)
            raise ClipkitError(f"{self.path}: embeddings of different widths ({widths}) come from different models")
        self.rows = torch.cat([table.matrix for table in tables])
        self.index: dict[str, int] = {}
        for i, name in enumerate(name for table in tables for name in table.names):
            self.index.setdefault(name.casefold(), i)
        self.stand_ins = {key.casefold(): value for key, value in (stand_ins or {}).items()}
        for value in self.stand_ins.values():
            if value.casefold() not in self.index:
                raise ClipkitError(f"stand-in '{value}' is not in {self.path}; {self._near(value)}")
        self.embed_dim = int(self.rows.shape[1])

    def _near(self, name: str) -> str:
        near = difflib.get_close_matches(name.casefold(), list(self.index), n=3)
        return f"near names: {', '.join(near)}" if near else f"it holds {len(self.index)} other names"

    def encode(self, vocabulary: Vocabulary) -> TextEmbeddings:
        """Rows of length 1: of a class's first word, name or synonym, that the file has.

        Raises:
            ClipkitError: names that the file lacks.
        """
        groups = [*vocabulary.words, *((word,) for word in vocabulary.background.words)]
        places = [self._place(words) for words in groups]
        missing = [words[0] for words, place in zip(groups, places) if place is None]
        if missing:
            raise ClipkitError(f"no embedding for {', '.join(missing)} in {self.path}; {self._near(missing[0])}")
        owner = torch.arange(len(groups)).clamp(max=len(vocabulary))  # background's words all speak for the last label
        return TextEmbeddings(vocabulary.names, self.rows[places], owner, vocabulary.background)

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
