"""Questions about a picture, answered from a frozen CLIP's grid (CLIP-ViL: Shen et al., ICLR 2022, arXiv:2107.06383).

The words of a question are queries that attend to the cells of the grid. "Aligned" attention is ours: the CLIP's own
cosine of a cell and a word, standardised over the cells, is added to the attention's logits, so that a word begins with
looking at what it names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from clipkit_plugins.vqa.text import Questions, QuestionTokens, sinusoids
from mmengine.model import BaseModel
from torch import Tensor, nn

from clipkit.backbone import FrozenCLIP
from clipkit.backbone.options import build_frozen, clip_options
from clipkit.data.padding import pad_rows
from clipkit.data.questions import Vocabulary, learn_vocabulary
from clipkit.embed.grids import Grid, look, picture_tensor
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.evaluation.vqa import normalise, soft_target
from clipkit.nn import CrossBlock
from clipkit.shapes.questions import ANSWERS as SHAPE_ANSWERS
from clipkit.shapes.questions import WORDS as SHAPE_WORDS

ENTAILMENT = ("contradiction", "neutral", "entailment")
_STARTS = ((2.0, 0.0, 1.0, 0.0), (0.0, 2.0, 1.0, 0.0))  # of words, of phrases: what heads begin with, in turn


@MODELS.register_module()
class GridVQA(BaseModel):
    """Answers by classification over the answers of a vocabulary.

    Args:
        clip: a name, or `dict(name=..., pretrained=..., precision=...)`; 'tiny_clip' is the shipped one.
        vocabulary: 'shapes', or arguments of `clipkit.data.questions.learn_vocabulary`; for entailment its words count.
        dim, heads, depth: of the blocks.
        words: 'learned', or 'clip': the tokens of its text tower.
        aligned: add the cosine of cell and word to the attention's logits.
        head: 'answers': each of them is right or wrong, with soft targets (BCE, summed over the answers); or
            'entailment': one of three (cross entropy).
        blind: sees no picture, in training either: what questions alone give away.
        layer, stride, size: of the grid, see `clipkit.embed.grids`; those of the data set's.

    Raises:
        ClipkitError: an unknown word or head, a vocabulary that is no such file; a checkpoint with other answers.
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
        head: str = "answers",
        blind: bool = False,
        layer: int = -1,
        stride: int | None = None,
        size: int | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        for key, value, known in (("words", words, ("learned", "clip")), ("head", head, ("answers", "entailment"))):
            if value not in known:
                raise ClipkitError(f"GridVQA: {key}={value!r} is unknown; known: {', '.join(known)}")
        self.clip: FrozenCLIP = build_frozen(clip_options(clip))
        self.how = {"layer": layer, "stride": stride}
        self.size, self.heads, self.aligned, self.blind, self.head = size, heads, aligned, blind, head
        known = _vocabulary(vocabulary)
        self.answers = ENTAILMENT if head == "entailment" else known.answers
        self.label_names = self.answers
        self.index = {answer: i for i, answer in enumerate(self.answers)}
        self.text = QuestionTokens(dim, words, known.words, self.clip)
        width = self._width() + (self.clip.embed_dim if aligned else 0)
        self.norm_in, self.proj, self.norm_cells = nn.LayerNorm(width), nn.Linear(width, dim), nn.LayerNorm(dim)
        self.place = nn.Linear(32, dim)
        self.blocks = nn.ModuleList(CrossBlock(dim, heads) for _ in range(depth))
        starts = torch.tensor([[row[i % len(row)] for i in range(heads)] for row in _STARTS])
        self.alignment = nn.Parameter(starts.repeat(depth, 1, 1)) if aligned else None
        self.evidence = nn.Linear(2 * 4, dim) if aligned else None
        self.norm = nn.LayerNorm(dim)
        self.classify = nn.Sequential(
            nn.Linear(2 * dim, 2 * dim),
            nn.GELU(),
            nn.LayerNorm(2 * dim, eps=1e-12),
            nn.Linear(2 * dim, len(self.answers)),
        )
        self.register_buffer("vocabulary", _digest(self.answers, known.words))
        self._rows: dict[str, Tensor] = {}

    # ---- what is seen ----------------------------------------------------------------------------------------------

    def look(self, images: Tensor) -> tuple[Grid, tuple[int, int]]:
        """The grid of `images` `(B, 3, H, W)` RGB in [0, 1], and its (h, w); see `clipkit.embed.grids.look`."""
        return look(self.clip, images.to(self.clip.device, self.clip.dtype), joint=self.aligned, **self.how)

    @torch.no_grad()
    def answer(self, rgb: Any, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """One picture `(H, W, 3)` uint8 RGB and its Q questions -> scores of the answers `(Q, A)` in [0, 1] and where
        was looked, `(Q, h, w)`, each with the sum 1; both on the CPU."""
        picture = picture_tensor(rgb, self.size, self.clip.patch_size)
        grid, shape = self.look(picture[None])
        logits, maps = self.score([Grid(*(None if p is None else p[0] for p in grid))], [list(questions)], maps=True)
        scores = logits[0].sigmoid() if self.head == "answers" else logits[0].softmax(-1)
        assert maps is not None
        return scores.cpu(), maps[0].unflatten(1, shape).cpu()

    # ---- mmengine --------------------------------------------------------------------------------------------------

    def forward(
        self,
        cells: Sequence[Tensor],
        place: Sequence[Tensor],
        questions: Sequence[Sequence[str]],
        given: Sequence[Sequence[Sequence[str]]] = (),
        joint: Sequence[Tensor | None] = (),
        mode: str = "tensor",
        **about: Any,
    ) -> Any:
        """B pictures with their questions.

        Args:
            cells, place, joint: of each picture, see `clipkit.embed.grids.Grid`.
            questions: of each picture Q texts, their number may differ.
            given: of each question what people answered.
            mode: 'loss' gives the loss, 'predict' a dict a picture with `answers` and `blind`, the best answers with
                and without the picture; 'tensor' the logits, `(Q, A)` of each picture.
            about: whatever else a sample says; 'predict' hands it on.
        """
        rows = zip(cells, place, joint or [None] * len(cells))
        grids = [Grid(*(None if p is None else p.to(self.device) for p in row)) for row in rows]
        logits, _ = self.score(grids, questions)
        if mode == "tensor":
            return logits
        if mode == "loss":
            return {"loss": self._loss(torch.cat(logits), [each for own in given for each in own])}
        blind, _ = self.score([_nothing(grid) for grid in grids], questions)
        return [
            {
                "answers": self._best(own),
                "blind": self._best(without),
                "given": given[i] if given else [()] * len(own),
                **{key: values[i] for key, values in about.items()},
            }
            for i, (own, without) in enumerate(zip(logits, blind))
        ]

    @property
    def device(self) -> torch.device:
        """Where the weights that train are."""
        return self.proj.weight.device

    def score(
        self, grids: Sequence[Grid], questions: Sequence[Sequence[str]], maps: bool = False
    ) -> tuple[list[Tensor], list[Tensor] | None]:
        """Logits `(Q, A)` of each picture's questions; with `maps` also where was looked, `(Q, M)`: the weights of the
        last block, the mean over heads and over the words that name something, or over all of them without any."""
        if self.blind:
            grids = [_nothing(grid) for grid in grids]
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
        logits = self.classify(torch.cat([x[:, 0], named], dim=1)).unflatten(0, (len(grids), most))
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
            `(B · Q, L, 8)`: whether and how often it is there: of both the largest cosine, the mean, the largest
            standardised, and how far apart in the picture the cells are that are like it, in image sides.
        """
        joint, _ = pad_rows([grid.joint for grid in grids if grid.joint is not None])
        cosines = F.normalize(joint, dim=-1) @ self._words(asked.named).T.to(joint)  # (B, M, V)
        count, there = mask.sum(1)[:, None, None], mask[..., None]
        mean = (cosines * there).sum(1, keepdim=True) / count
        centred = (cosines - mean) * there
        z = centred / (centred.square().sum(1, keepdim=True) / count).sqrt().clamp(min=1e-6)
        # One thing is in one place; the middle of two is far from both, which a mean of values cannot tell.
        weight = (2 * z).masked_fill(~there, -torch.inf).softmax(1).transpose(1, 2)  # (B, V, M)
        apart = (weight @ places.square() - (weight @ places).square()).sum(2).clamp(min=0).sqrt()[:, None]
        largest = cosines.masked_fill(~there, -1).amax(1, keepdim=True)
        stats = torch.cat([largest, mean, z.amax(1, keepdim=True) / 10, apart], 1)
        index = asked.names.masked_fill(asked.names < 0, len(asked.named)).view(2, len(grids), -1)
        rows, facts = (F.pad(part, (0, 1)).transpose(1, 2) for part in (z, 10 * stats))  # what comes last names nothing
        batch = torch.arange(len(grids), device=index.device)[:, None]
        similarity = torch.stack([rows[batch, own] for own in index])
        evidence = torch.cat([facts[batch, own] for own in index], dim=2)
        return similarity, evidence.view(*asked.mask.shape, -1)

    def _words(self, named: Sequence[str]) -> Tensor:
        missing = [name for name in named if name not in self._rows]
        if missing:
            rows = self.clip.encode_text([f"a {name}" for name in missing]).float().to(self.device)
            self._rows.update(zip(missing, rows))
        return torch.stack([self._rows[name] for name in named]).to(self.device)

    # ---- answers ---------------------------------------------------------------------------------------------------

    def _loss(self, logits: Tensor, given: Sequence[Sequence[str]]) -> Tensor:
        targets = logits.new_zeros(logits.shape)
        for row, answers in enumerate(given):
            said = [normalise(answer) for answer in answers]
            for answer in set(said) & self.index.keys():
                targets[row, self.index[answer]] = soft_target(said.count(answer))
        if self.head == "entailment":
            return F.cross_entropy(logits, targets)
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(logits)

    def _best(self, logits: Tensor) -> list[str]:
        return [self.answers[i] for i in logits.argmax(1).tolist()]

    def _width(self) -> int:
        high, wide = self.clip.image_size
        blank = torch.zeros(1, 3, high, wide, device=self.clip.device, dtype=self.clip.dtype)
        return self.clip.features(blank, (self.how["layer"] or 0,), dense=False).maps[0].shape[1]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        theirs = state_dict.get(f"{prefix}vocabulary")
        if theirs is not None and not torch.equal(theirs.cpu(), self.vocabulary.cpu()):  # type: ignore[operator]
            raise ClipkitError("the checkpoint has other answers or words than the config's vocabulary: give its own")
        super()._load_from_state_dict(state_dict, prefix, *args)


def _vocabulary(given: str | Mapping[str, Any]) -> Vocabulary:
    if isinstance(given, Mapping):
        return learn_vocabulary(**given)
    if given != "shapes":
        raise ClipkitError(f"GridVQA: vocabulary={given!r} is neither 'shapes' nor a dict(file=…, questions=…)")
    return Vocabulary(SHAPE_ANSWERS, SHAPE_WORDS)


def _digest(*parts: Sequence[str]) -> Tensor:
    digest = hashlib.sha256("\n\n".join("\n".join(part) for part in parts).encode()).digest()
    return torch.tensor(list(digest[:8]), dtype=torch.uint8)


def _nothing(grid: Grid) -> Grid:
    """The same cells, with nothing in them."""
    return Grid(torch.zeros_like(grid.cells), grid.place, None if grid.joint is None else torch.zeros_like(grid.joint))


def _where(place: Tensor) -> Tensor:
    """`(…, 2)` in [0, 1] -> `(…, 32)`: from the middle outwards, so that the sines' signs are left and right, above and
    below."""
    return sinusoids(8 * (2 * place - 1), 16, 16.0).flatten(-2)
