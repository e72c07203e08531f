"""LXMERT's fusion of words and cells (Tan and Bansal, EMNLP 2019, arXiv:1908.07490), and CLIP-ViL_p's, all in one row.

Layers and names are those of the classes that both publish, so that their weights can be converted, see
`clipkit_plugins.vqa.convert`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from clipkit_plugins.vqa.answering import AnsweringModel, classifier, nothing
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from clipkit.data.padding import pad_rows
from clipkit.embed.grids import Grid
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError, shown
from clipkit.nn import CrossAttention, TextLayer

_WORDS, _POSITIONS = 30522, 512  # of bert-base-uncased
_EPS = 1e-12


class CrossModalityLayer(nn.Module):
    """Words read cells and cells words, by the same weights; then each side goes through a layer of its own.

    Args:
        width, heads, hidden, dropout: see `clipkit.nn.TextLayer`.
    """

    def __init__(self, width: int, heads: int, hidden: int | None = None, dropout: float = 0.1) -> None:
        super().__init__()
        self.cross, self.norm, self.drop = CrossAttention(width, heads), nn.LayerNorm(width, _EPS), nn.Dropout(dropout)
        self.text, self.cells = (TextLayer(width, heads, hidden, dropout) for _ in range(2))

    def forward(self, text: Tensor, text_mask: Tensor, cells: Tensor, cell_mask: Tensor) -> tuple[Tensor, Tensor]:
        """`text` (B, L, W), `cells` (B, M, W) -> the same shapes; masks (B, L) and (B, M) bool, False in padding."""
        read = self.norm(text + self.drop(self.cross(text, cells, cell_mask)))
        seen = self.norm(cells + self.drop(self.cross(cells, text, text_mask)))
        return self.text(read, text_mask[:, None]), self.cells(seen, cell_mask[:, None])


class BertWords(nn.Module):
    """BERT's embeddings of a question's pieces: of the piece, of where it stands, and of being a first sentence."""

    def __init__(self, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.word, self.position = nn.Embedding(_WORDS, width), nn.Embedding(_POSITIONS, width)
        self.sentence = nn.Embedding(2, width)
        self.norm, self.drop = nn.LayerNorm(width, _EPS), nn.Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        """(N, L) int64 -> (N, L, W)."""
        return self.drop(self.norm(self.word(ids) + self.position.weight[: ids.shape[1]] + self.sentence.weight[0]))


class CellEmbedding(nn.Module):
    """Cells, with learned positions by row and by column where there are any, through Linear and LayerNorm."""

    def __init__(self, cells: int, width: int, positions: int = 0, dropout: float = 0.1) -> None:
        super().__init__()
        self.proj, self.norm, self.drop = nn.Linear(cells, width), nn.LayerNorm(width, _EPS), nn.Dropout(dropout)
        self.row, self.column = (nn.Embedding(positions, cells) if positions else None for _ in range(2))

    def forward(self, grid: Grid) -> Tensor:
        """Of one picture: (M, W).

        Raises:
            ClipkitError: a grid of more rows or columns than there are positions.
        """
        cells = grid.cells
        if self.row is not None and self.column is not None:
            # A cell's middle is (i + 0.5) / n, and the first one's 0.5 / n.
            column, row = ((grid.place / grid.place.amin(0) - 1) / 2).round().long().unbind(1)
            if (most := int(max(row.max(), column.max())) + 1) > self.row.num_embeddings:
                raise ClipkitError(
                    f"a grid of {most} rows or columns, and {self.row.num_embeddings} have positions; lower size"
                )
            cells = cells + self.row(row) + self.column(column)
        return self.drop(self.norm(self.proj(cells)))


@MODELS.register_module()
class LxmertVQA(AnsweringModel):
    """Answers from BERT's layers over words and cells; each question goes through all layers with its picture.

    Args:
        vocab: BERT's `vocab.txt` (of bert-base-uncased), one piece a line.
        text_layers, cell_layers, cross_layers: how many read words alone, cells alone, and both.
        joint_layers: or so many that read words and cells in one row, as CLIP-ViL_p; then the other three are 0.
        width, heads, hidden, dropout: of all layers.
        positions: rows and columns that have a learned position; 0: none.
        tokens: pieces of a question that are read, with start and end.
        clip, vocabulary, options: see `AnsweringModel`.

    Raises:
        ClipkitError: no such file, joint layers beside others, or as `AnsweringModel`.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any],
        vocabulary: str | Mapping[str, Any],
        vocab: str,
        text_layers: int = 9,
        cell_layers: int = 5,
        cross_layers: int = 5,
        joint_layers: int = 0,
        width: int = 768,
        heads: int = 12,
        hidden: int = 3072,
        dropout: float = 0.1,
        positions: int = 0,
        tokens: int = 20,
        **options: Any,
    ) -> None:
        super().__init__(clip, vocabulary, **options)
        if bool(joint_layers) == bool(text_layers + cell_layers + cross_layers):
            raise ClipkitError("LxmertVQA: set joint_layers, or text_layers, cell_layers and cross_layers")
        self.pieces, self.tokens = _tokenizer(vocab), tokens
        layer = (width, heads, hidden, dropout)
        self.words = BertWords(width, dropout)
        self.embed = CellEmbedding(self.cell_width(), width, positions, dropout)
        self.text = nn.ModuleList(TextLayer(*layer) for _ in range(text_layers or joint_layers))
        self.cells = nn.ModuleList(TextLayer(*layer) for _ in range(cell_layers))
        self.cross = nn.ModuleList(CrossModalityLayer(*layer) for _ in range(cross_layers))
        self.alone = not joint_layers
        self.pool = nn.Linear(width, width)
        self.classify = classifier(width, 2 * width, len(self.answers))

    def fuse(self, ids: Tensor, text_mask: Tensor, cells: Tensor, cell_mask: Tensor) -> tuple[Tensor, Tensor]:
        """`ids` (N, L), `cells` (N, M, W) and what of both is no padding -> words (N, L, W) and cells (N, M, W)."""
        text = self.words(ids)
        if not self.alone:
            both, mask = torch.cat([text, cells], 1), torch.cat([text_mask, cell_mask], 1)[:, None]
            for layer in self.text:
                both = layer(both, mask)
            return both[:, : text.shape[1]], both[:, text.shape[1] :]
        for layer in self.text:
            text = layer(text, text_mask[:, None])
        for layer in self.cells:
            cells = layer(cells, cell_mask[:, None])
        for layer in self.cross:
            text, cells = layer(text, text_mask, cells, cell_mask)
        return text, cells

    def score(
        self, grids: Sequence[Grid], questions: Sequence[Sequence[str]], maps: bool = False
    ) -> tuple[list[Tensor], list[Tensor] | None]:
        """Logits `(Q, A)` of each picture's questions; with `maps` also how alike each cell has become to what is read
        of the question, `(Q, M)`: a softmax of their cosine."""
        if self.blind:
            grids = [nothing(grid) for grid in grids]
        ids, text_mask = self.encode([text for own in questions for text in own])
        counts = torch.tensor([*map(len, questions)], device=self.device)
        cells, cell_mask = (part.repeat_interleave(counts, 0) for part in pad_rows([self.embed(g) for g in grids]))
        text, seen = self.fuse(ids, text_mask, cells, cell_mask)
        logits = self.classify(self.pool(text[:, 0]).tanh()).split(counts.tolist())
        if not maps:
            return list(logits), None
        alike = torch.cosine_similarity(text[:, :1], seen, dim=-1) / 0.1
        looked = alike.masked_fill(~cell_mask, -torch.inf).softmax(1).split(counts.tolist())
        return list(logits), [rows[:, : len(grid.cells)] for rows, grid in zip(looked, grids)]

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Questions -> ids (N, L) int64 and what of them is no padding; what is too long is cut."""
        rows = []
        for text in texts:
            ids = self.pieces.encode(text).ids
            rows.append(torch.tensor(ids if len(ids) <= self.tokens else [*ids[: self.tokens - 1], ids[-1]]))
        mask = pad_sequence([torch.ones(len(row), dtype=torch.bool) for row in rows], batch_first=True)
        return pad_sequence(rows, batch_first=True).to(self.device), mask.to(self.device)


def _tokenizer(vocab: str) -> Any:
    try:
        from tokenizers.implementations import BertWordPieceTokenizer
    except ImportError as error:
        raise ClipkitError("LxmertVQA needs the package tokenizers: pip install tokenizers") from error
    if not Path(vocab).is_file():
        raise ClipkitError(f"{shown(vocab)}: no such file: give bert-base-uncased's vocab.txt by model.vocab=FILE")
    return BertWordPieceTokenizer(vocab, lowercase=True)
