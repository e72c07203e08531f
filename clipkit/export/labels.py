"""The labels of an exported file: its own, or any others by the CLIP that its metadata name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from clipkit.backbone import FrozenCLIP
from clipkit.backbone.options import build_frozen, clip_options
from clipkit.errors import ClipkitError
from clipkit.export.read import OnnxFile
from clipkit.text import Background, TextBank, TextEmbeddings, Vocabulary
from clipkit.text.class_rows import as_vocabulary
from clipkit.text.labels import Labels, TextLabels

BACKGROUND = "background"


def prompted(vocabulary: Vocabulary, about: Mapping[str, Any]) -> Vocabulary:
    """The words in the prompts of `About.text`, and a label `background`, or none, as the exported model has it."""
    words = dict(zip(vocabulary.names, vocabulary.words))
    background, rule = vocabulary.background, about.get("background_label")
    if about.get("neutral") and not background.has_class:
        background = Background("words", tuple(about["neutral"]))
    elif rule and BACKGROUND in words and len(words) > 1 and not background.has_class:
        behind, threshold = words.pop(BACKGROUND), about.get("threshold")
        background = Background("words", behind, threshold) if rule == "words" else Background.of(threshold)
    synonyms = [group[1:] for group in words.values()]
    templates, reduce = about.get("templates") or ("{}",), about.get("reduce") or "mean"
    return Vocabulary(list(words), synonyms, templates, reduce, background)


class NamedText(nn.Module):
    """Rows from the text tower of the CLIP that the metadata name; until words are first given `clip` is None.

    Args:
        about: `About.text`.
        path: of the file, for messages.
        dim: of the rows, where the file's own say it.
    """

    def __init__(self, about: Mapping[str, Any], path: object, dim: int | None = None) -> None:
        super().__init__()
        self.about, self.path, self.dim = about, path, dim
        self.templates = tuple(about.get("templates") or ("{}",))
        self.clip: FrozenCLIP | None = None
        self.bank: TextBank | None = None

    @property
    def embed_dim(self) -> int:
        """Width of the rows."""
        return self._built().clip.embed_dim if self.dim is None else self.dim

    def encode(self, vocabulary: Vocabulary) -> TextEmbeddings:
        """Rows of length 1.

        Raises:
            ClipkitError: the metadata name no CLIP, or it has other weights than at the export.
        """
        return self._built().encode(vocabulary)

    def _built(self) -> TextBank:
        if self.bank is None:
            if not self.about.get("clip"):
                raise ClipkitError(f"{self.path}: names no CLIP to encode words with: leave --labels out")
            self.clip = build_frozen(clip_options(self.about["clip"]))
            if self.clip.weights_hash != self.about.get("weights"):
                name = self.clip.name
                raise ClipkitError(f"{self.path}: {name} has other weights here than at the export: export it again")
            self.bank = TextBank(self.clip)
        return self.bank


class OnnxModel(TextLabels, nn.Module):
    """An exported file where predictors look for a model: its labels can be replaced, `run` gives its outputs.

    Raises:
        ClipkitError: see `OnnxFile`.
    """

    def __init__(self, file: OnnxFile) -> None:
        super().__init__()
        self.file, self.about = file, file.about
        self.reduce = "max" if self.about.text.get("reduce") == "max" else "mean"
        self.register_buffer("label_text", torch.empty(0), persistent=False)
        own = self.about.own()
        self.text = NamedText(self.about.text, file.path, None if own is None else own.dim)  # type: ignore[assignment]
        if own is not None:
            self.own_labels = own
            super().set_labels()

    @property
    def label_names(self) -> tuple[str, ...]:
        """As `TextLabels.label_names`.

        Raises:
            ClipkitError: the file has no labels of its own, and none were given.
        """
        if not hasattr(self, "labels"):
            raise ClipkitError(f'{self.file.path}: has no labels of its own: give some, --labels "cat, bench"')
        return super().label_names

    def set_labels(self, labels: Labels | None = None) -> tuple[str, ...]:
        """As `TextLabels.set_labels`; a file with frozen labels takes no others."""
        if labels is not None and self.about.frozen:
            raise ClipkitError(f"{self.file.path}: its labels are frozen in the graph: leave --labels out")
        return self.label_names if labels is None and not hasattr(self, "own_labels") else super().set_labels(labels)

    def encode_labels(self, labels: Labels) -> TextEmbeddings:
        """As `TextLabels.encode_labels`, names in the prompts of the export."""
        if not isinstance(labels, (Vocabulary, TextEmbeddings)):
            labels = self.own_prompts(as_vocabulary(labels, self.text.templates, self.reduce))
        return super().encode_labels(labels)

    def own_prompts(self, vocabulary: Vocabulary) -> Vocabulary:
        """See `prompted`."""
        return prompted(vocabulary, self.about.text)

    def run(self, **inputs: torch.Tensor) -> list[torch.Tensor]:
        """The file's outputs for its inputs but the rows, which are those of the labels.

        Raises:
            ClipkitError: its scores are not those of so many rows.
        """
        arrays = {name: value.numpy() for name, value in inputs.items()}
        if "text" in self.file.inputs:
            arrays["text"] = self.label_text.float().numpy()
        found = [torch.from_numpy(np.asarray(one)).float() for one in self.file.run(**arrays)]
        if not found or found[0].ndim not in (2, 3, 4) or found[0].shape[1] != len(self.label_text):
            raise ClipkitError(f"{self.file.path}: gives no scores of {len(self.label_text)} rows: export it again")
        return found
