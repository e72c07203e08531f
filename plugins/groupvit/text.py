"""The paper's own text tower, which trains with the image side, and the projectors of both."""

import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from open_clip import SimpleTokenizer
from open_clip.transformer import QuickGELU, TextTransformer
from torch import Tensor, nn

from clipkit.text import TextBank, TextEmbeddings, Vocabulary, get_templates


class Projector(nn.Sequential):
    """Linear, batch norm, ReLU, linear: (…, width) to (…, dim)."""

    def __init__(self, width: int, hidden: int, dim: int) -> None:
        super().__init__(nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, -2)).unflatten(0, x.shape[:-1])


class TrainedText(nn.Module):
    """CLIP's causal text transformer and a projector, from scratch (section 3.2). It stands where other segmentors have
    a frozen CLIP's text: `encode` gives rows for vocabularies, as the weights are at the time.

    Args:
        width, layers, heads, context, vocab: of the transformer. Texts that are longer than `context` tokens are cut.
        hidden, dim: of the projector.
        templates: prompts for names, see `clipkit.text.get_templates`.
    """

    clip = None
    whitening = None

    def __init__(
        self,
        width: int = 256,
        layers: int = 12,
        heads: int = 4,
        context: int = 77,
        vocab: int = 49408,
        hidden: int = 4096,
        dim: int = 256,
        templates: str | Sequence[str] = ("a photo of a {}.",),
    ) -> None:
        super().__init__()
        self.encoder = TextTransformer(
            context, vocab, width, heads, layers, output_dim=None, proj_type="none", act_layer=QuickGELU
        )
        self.projector = Projector(width, hidden, dim)
        self.tokenizer = SimpleTokenizer(context_length=context)
        self.templates = get_templates(templates)
        self.embed_dim = dim

    @property
    def weights_hash(self) -> str:
        """None to keep anything under: the weights change."""
        return "trains"

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """`(N, context)` int64 on the CPU."""
        ids = self.tokenizer(list(texts))
        if bool((ids[:, -1] != 0).any()):
            warnings.warn(f"some texts are longer than {ids.shape[1]} tokens and are cut", stacklevel=2)
        return ids

    def forward(self, texts: Sequence[str]) -> Tensor:
        """`(N, D)`, not normalised, with gradients."""
        ids = self.tokenize(texts).to(next(self.parameters()).device)
        return self.projector(self.encoder(ids))

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str], normalize: bool = True) -> Tensor:
        """`(N, D)` in evaluation mode."""
        was = self.training
        self.eval()
        rows = self(texts)
        self.train(was)
        return F.normalize(rows, dim=-1) if normalize else rows

    def encode(self, vocabulary: Vocabulary) -> TextEmbeddings:
        """Rows of length 1 for every class of the vocabulary."""
        return TextBank(self, progress=False).encode(vocabulary)  # a new one, which remembers no word

    def encode_words(self, words: Sequence[str]) -> Tensor:
        """Rows of length 1 for single words in this text's templates, (len(words), D); repeats are allowed."""
        return TextBank(self, progress=False).encode_words(words, self.templates)

    def lacks(self, names: Sequence[str]) -> list[str]:
        """None: a text tower encodes anything."""
        return []
