"""Labels that are words: what every model has whose classes can be replaced after training."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from clipkit.errors import ClipkitError
from clipkit.text import TextEmbeddings, Vocabulary
from clipkit.text.class_rows import ClipText, PrecomputedText, as_vocabulary

Labels = str | Sequence[str] | Vocabulary | TextEmbeddings


class TextLabels:
    """Mixed into an `nn.Module`, before its base class; `init_labels` once modules may be set.

    Attributes:
        text: where rows of the classifier come from.
        classes: all names of the data set, in order.
        unnamed: those that have no embedding; `named`: places of the others in `classes`.
        labels: what is predicted now, see `set_labels`; `label_text`: their rows, a buffer that is not saved.
        own_labels: the data set's classes, encoded.
        reduce: how synonyms become one score where a label says no other way, see `Vocabulary`.
    """

    label_text: Tensor
    register_buffer: Callable[..., None]
    reduce = "mean"
    backgrounds: tuple[str, ...] = ("none", "threshold", "words", "others")

    def init_labels(self, classes: Sequence[str], text: ClipText | PrecomputedText) -> None:
        """Encodes the data set's classes.

        Raises:
            ClipkitError: no class has an embedding.
        """
        self.classes, self.text = list(classes), text
        self.unnamed = text.lacks(self.classes)
        without = set(self.unnamed)
        self.named = [i for i, name in enumerate(self.classes) if name not in without]
        if not self.named:
            raise ClipkitError("no class has a text embedding; check classes= and text=")
        self.register_buffer("label_text", torch.empty(0), persistent=False)
        self.own_labels = self.encode_labels([self.classes[i] for i in self.named])
        self.set_labels()

    @property
    def label_names(self) -> tuple[str, ...]:
        """What a prediction can say: label `i` is `label_names[i]`."""
        return self.labels.class_names

    def own_prompts(self, vocabulary: Vocabulary) -> Vocabulary:
        """The words of a vocabulary in this model's prompts: for labels that come without prompts, from a command."""
        words = vocabulary.names, vocabulary.synonyms
        return Vocabulary(*words, self.text.templates, self.reduce, vocabulary.background)

    def encode_labels(self, labels: Labels) -> TextEmbeddings:
        """Names, or `'a, b; synonym'`, in this model's prompts; a Vocabulary in its own; embeddings as they are."""
        if isinstance(labels, TextEmbeddings):
            if labels.dim != self.text.embed_dim:
                raise ClipkitError(
                    f"the labels' embeddings are {labels.dim} wide, the model's {self.text.embed_dim}: they come from "
                    "different CLIPs"
                )
            return labels
        vocabulary = as_vocabulary(labels, self.text.templates, self.reduce)
        encoded = self.text.encode(vocabulary)
        encoded.info["words"] = vocabulary.words
        return encoded

    def set_labels(self, labels: Labels | None = None) -> tuple[str, ...]:
        """Replaces the labels of `predict`, in the caller's order; training is not touched.

        Args:
            labels: a Vocabulary (templates, synonyms, background policy), a list of names, `'a, b; synonym'`, or what
                `encode_labels` made of one of these (to switch back and forth at no cost); None for the data set's
                own classes.

        Returns:
            `label_names`.
        """
        encoded = self.own_labels if labels is None else self.encode_labels(labels)
        if encoded.background.kind not in self.backgrounds:
            known = ", ".join(self.backgrounds)
            name, kind = type(self).__name__, encoded.background.kind
            raise ClipkitError(f"{name} takes no {kind} background from its labels; it takes {known}")
        self.label_text = encoded.matrix.to(self.label_text.device)
        self.labels: TextEmbeddings = encoded
        return self.label_names
