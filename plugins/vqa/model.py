"""Questions about a picture, answered from a frozen CLIP's grid (CLIP-ViL: Shen et al., ICLR 2022, arXiv:2107.06383).

The words of a question are queries that attend to the cells of the grid. "Aligned" attention is ours: the CLIP's own
cosine of a cell and a word, standardised over the cells, is added to the attention's logits, so that a word begins with
looking at what it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from clipkit_plugins.vqa.answering import AnsweringModel, classifier, nothing
from clipkit_plugins.vqa.text import Questions, QuestionTokens, sinusoids
from torch import Tensor, nn

from clipkit.data.padding import pad_rows
from clipkit.embed.grids import Grid
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.nn import CrossBlock

_STARTS = ((2.0, 0.0, 1.0, 0.0), (0.0, 2.0, 1.0, 0.0))  # of words, of phrases: what heads begin with, in turn


@MODELS.register_module()
class GridVQA(AnsweringModel):
    """Words attend to cells.

    Args:
        dim, heads, depth: of the blocks.
        words: 'learned', or 'clip': the tokens of its text tower.
        aligned: add the cosine of cell and word to the attention's logits.
        clip, vocabulary, options: see `AnsweringModel`.

    Raises:
        ClipkitError: unknown words, or as `AnsweringModel`.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any],
        vocabulary: str | Mapping[str, Any],
        dim: int = 96,
        heads: int = 4,
        depth: int = 2,
        words: str = "learned",
        aligned: bool = True,
        **options: Any,
    ) -> None:
        if words not in ("learned", "clip"):
            raise ClipkitError(f"GridVQA: words={words!r} is unknown; known: learned, clip")
        super().__init__(clip, vocabulary, joint=aligned, **options)
        self.aligned = aligned
        self.text = QuestionTokens(dim, words, self.known.words, self.clip)
        width = self.cell_width() + (self.clip.embed_dim if aligned else 0)
        self.norm_in, self.proj, self.norm_cells = nn.LayerNorm(width), nn.Linear(width, dim), nn.LayerNorm(dim)
        self.place = nn.Linear(32, dim)
        self.blocks = nn.ModuleList(CrossBlock(dim, heads) for _ in range(depth))
        self.tally = Tally(dim, heads)
        starts = torch.tensor([[row[i % len(row)] for i in range(heads)] for row in _STARTS])
        self.alignment = nn.Parameter(starts.repeat(depth, 1, 1)) if aligned else None
        self.evidence = nn.Linear(2 * 6 + 2, dim) if aligned else None
        self.norm = nn.LayerNorm(dim)
        self.classify = classifier(2 * dim, 2 * dim, len(self.answers))
        self._rows: dict[str, Tensor] = {}

    def score(
        self, grids: Sequence[Grid], questions: Sequence[Sequence[str]], maps: bool = False
    ) -> tuple[list[Tensor], list[Tensor] | None]:
        """Logits `(Q, A)` of each picture's questions; with `maps` also where was looked, `(Q, M)`: the weights of the
        last block, the mean over heads and over the words that name something, or over all of them without any."""
        if self.blind:
            grids = [nothing(grid) for grid in grids]
        most = max(map(len, questions))
        asked = self.text([text for own in questions for text in [*own, *[""] * (most - len(own))]])
        cells, mask = pad_rows([self._cells(grid) for grid in grids])
        places, _ = pad_rows([grid.place for grid in grids])
        seen = self.norm_cells(self.proj(self.norm_in(cells)) + self.place(_where(places)))
        x, similarity = asked.tokens, None
        if self.alignment is not None and asked.named:
            similarity, evidence = self._similarity(grids, asked, places, mask)
            x = x + self.evidence(evidence)
        looked = None
        for number, block in enumerate(self.blocks):
            bias = None if similarity is None else torch.einsum("kh,kbnm->bhnm", self.alignment[number], similarity)
            if maps and number == len(self.blocks) - 1:
                own = x + block.attn(block.norm1(x), asked.mask)
                looked = block.cross.weights(block.queries(own, seen), seen, mask, bias).mean(1)
            x = block(x, seen, asked.mask, mask, bias)
        about = asked.names[0] >= 0
        about = torch.where(about.any(1, keepdim=True), about, asked.mask)  # where nothing is named, all of them
        x = self.norm(x)
        named = (x * about[..., None]).sum(1) / about.sum(1, keepdim=True)
        read = torch.cat([x[:, 0], named], dim=1).unflatten(0, (len(grids), most))
        logits = self.classify(read + self.tally(read, seen, mask))
        kept = [row[: len(own)] for row, own in zip(logits, questions)]
        if looked is None:
            return kept, None
        looked = looked.unflatten(1, (most, -1))  # (B, Q, L, M)
        weight = about.unflatten(0, (len(grids), most)).to(looked)
        mean = (looked * weight[..., None]).sum(2) / weight.sum(2)[..., None]
        return kept, [row[: len(own), : len(grid.cells)] for row, own, grid in zip(mean, questions, grids)]

    # ---- alignment -------------------------------------------------------------------------------------------------

    def _cells(self, grid: Grid) -> Tensor:
        """What is seen of each cell: the tower's features, and with alignment its place in the text's space."""
        if not self.aligned:
            return grid.cells
        if grid.joint is None:
            raise ClipkitError("aligned attention needs each cell in the text's space: set joint=True in the data set")
        scale = grid.cells.shape[1] ** 0.5  # LayerNorm follows: both parts count alike
        return torch.cat([F.layer_norm(grid.cells, grid.cells.shape[1:]), F.normalize(grid.joint, dim=-1) * scale], 1)

    def _similarity(
        self, grids: Sequence[Grid], asked: Questions, places: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """How cells are like what tokens name, by word and by phrase; all 0 where a token names nothing.

        Returns:
            `(2, B, Q · L, M)`: cosines, standardised over a picture's cells.
            `(B · Q, L, 14)`: whether, how often and where it is there: of both the largest cosine, the mean, the
            largest standardised, and of the cells that are like it how far apart they are and their middle, x and y, in
            image sides; then, of a token between two phrases, how far right of, and below, the first the second is.
        """
        joint, _ = pad_rows([grid.joint for grid in grids if grid.joint is not None])
        cosines = F.normalize(joint, dim=-1) @ self._words(asked.named).T.to(joint)  # (B, M, V)
        count, there = mask.sum(1)[:, None, None], mask[..., None]
        mean = (cosines * there).sum(1, keepdim=True) / count
        centred = (cosines - mean) * there
        z = centred / (centred.square().sum(1, keepdim=True) / count).sqrt().clamp(min=1e-6)
        # One thing is in one place; the middle of two is far from both, which a mean of values cannot tell.
        weight = (2 * z).masked_fill(~there, -torch.inf).softmax(1).transpose(1, 2)  # (B, V, M)
        middle = weight @ places  # (B, V, 2)
        apart = (weight @ places.square() - middle.square()).sum(2).clamp(min=0).sqrt()[:, None]
        largest = cosines.masked_fill(~there, -1).amax(1, keepdim=True)
        stats = torch.cat([largest, mean, z.amax(1, keepdim=True) / 10, apart, (middle.transpose(1, 2) - 0.5) / 2], 1)
        index = asked.names.masked_fill(asked.names < 0, len(asked.named)).view(4, len(grids), -1)
        rows, facts = (F.pad(part, (0, 1)).transpose(1, 2) for part in (z, 10 * stats))  # what comes last names nothing
        batch = torch.arange(len(grids), device=index.device)[:, None]
        similarity = torch.stack([rows[batch, own] for own in index[:2]])
        by_word, by_phrase, before, after = (facts[batch, own] for own in index)
        away = (after - before)[..., -2:]
        return similarity, torch.cat([by_word, by_phrase, away], dim=2).view(*asked.mask.shape, -1)

    def _words(self, named: Sequence[str]) -> Tensor:
        missing = [name for name in named if name not in self._rows]
        if missing:
            rows = self.clip.encode_text([f"a {name}" for name in missing]).float().to(self.device)
            self._rows.update(zip(missing, rows))
        return torch.stack([self._rows[name] for name in named]).to(self.device)


class Tally(nn.Module):
    """Adds up the cells that a question is about. Each counts by a sigmoid of its own: what attention reads is a mean,
    the same of one thing and of three."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = nn.Linear(2 * dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.out = nn.Linear(dim + heads, 2 * dim)
        self.shift = nn.Parameter(torch.full((heads, 1, 1), -3.0))

    def forward(self, asked: Tensor, cells: Tensor, mask: Tensor) -> Tensor:
        """`asked` (B, Q, 2 d), `cells` (B, M, d), `mask` (B, M) -> (B, Q, 2 d)."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(asked), self.key(cells), self.value(cells))
        )
        gate = (query @ key.transpose(-1, -2) * key.shape[-1] ** -0.5 + self.shift).sigmoid() * mask[:, None, None]
        summed = (gate @ value).transpose(1, 2).flatten(2)
        return self.out(torch.cat([summed, gate.sum(-1).transpose(1, 2)], dim=-1))


def _where(place: Tensor) -> Tensor:
    """`(…, 2)` in [0, 1] -> `(…, 32)`: from the middle outwards, so that the sines' signs are left and right, above and
    below."""
    return sinusoids(8 * (2 * place - 1), 16, 16.0).flatten(-2)
