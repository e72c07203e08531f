"""What models of questions about pictures share: answers, a frozen CLIP's grid, losses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn

from clipkit.backbone import FrozenCLIP
from clipkit.backbone.options import build_frozen, clip_options
from clipkit.data.questions import Vocabulary, learn_vocabulary
from clipkit.embed.grids import Grid, look, picture_tensor
from clipkit.errors import ClipkitError
from clipkit.evaluation.vqa import normalise, soft_target
from clipkit.shapes.questions import ANSWERS as SHAPE_ANSWERS
from clipkit.shapes.questions import WORDS as SHAPE_WORDS

ENTAILMENT = ("contradiction", "neutral", "entailment")


class AnsweringModel(BaseModel):
    """Answers by classification over the answers of a vocabulary. A subclass says `score`.

    Args:
        clip: a name, or `dict(name=..., pretrained=..., precision=...)`; 'tiny_clip' is the shipped one.
        vocabulary: 'shapes', or arguments of `clipkit.data.questions.learn_vocabulary`; for entailment its words count.
        head: 'answers': each of them is right or wrong, with soft targets (BCE, summed over the answers); or
            'entailment': one of three (cross entropy).
        blind: sees no picture, in training either: what questions alone give away.
        layer, stride, size: of the grid, see `clipkit.embed.grids`; those of the data set's.
        joint: whether each cell is also needed in the text's space.

    Raises:
        ClipkitError: an unknown head, a vocabulary that is no such file; a checkpoint with other answers.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any],
        vocabulary: str | Mapping[str, Any],
        head: str = "answers",
        blind: bool = False,
        layer: int = -1,
        stride: int | None = None,
        size: int | None = None,
        joint: bool = False,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if head not in ("answers", "entailment"):
            raise ClipkitError(f"{type(self).__name__}: head={head!r} is unknown; known: answers, entailment")
        self.clip: FrozenCLIP = build_frozen(clip_options(clip))
        self.how = {"layer": layer, "stride": stride}
        self.size, self.blind, self.head, self.joint = size, blind, head, joint
        self.known = _vocabulary(vocabulary)
        self.answers = ENTAILMENT if head == "entailment" else self.known.answers
        self.label_names = self.answers
        self.index = {answer: i for i, answer in enumerate(self.answers)}
        self.vocabulary: Tensor
        self.register_buffer("vocabulary", _digest(self.answers, self.known.words))

    # ---- what is seen ----------------------------------------------------------------------------------------------

    def look(self, images: Tensor) -> tuple[Grid, tuple[int, int]]:
        """The grid of `images` `(B, 3, H, W)` RGB in [0, 1], and its (h, w); see `clipkit.embed.grids.look`."""
        return look(self.clip, images.to(self.clip.device, self.clip.dtype), joint=self.joint, **self.how)

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
        blind, _ = self.score([nothing(grid) for grid in grids], questions)
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
        return self.vocabulary.device

    def score(
        self, grids: Sequence[Grid], questions: Sequence[Sequence[str]], maps: bool = False
    ) -> tuple[list[Tensor], list[Tensor] | None]:
        """Logits `(Q, A)` of each picture's questions; with `maps` also where was looked, `(Q, M)`, with the sum 1."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it answers")

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

    def cell_width(self) -> int:
        """C, of the cells."""
        high, wide = self.clip.image_size
        blank = torch.zeros(1, 3, high, wide, device=self.clip.device, dtype=self.clip.dtype)
        return self.clip.features(blank, (self.how["layer"] or 0,), dense=False).maps[0].shape[1]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        theirs = state_dict.get(f"{prefix}vocabulary")
        if theirs is not None and not torch.equal(theirs.cpu(), self.vocabulary.cpu()):
            raise ClipkitError("the checkpoint has other answers or words than the config's vocabulary: give its own")
        super()._load_from_state_dict(state_dict, prefix, *args)


def classifier(width: int, hidden: int, answers: int) -> nn.Sequential:
    """The head: `(…, width)` -> `(…, answers)`, as LXMERT has it."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.GELU(), nn.LayerNorm(hidden, eps=1e-12), nn.Linear(hidden, answers)
    )


def _vocabulary(given: str | Mapping[str, Any]) -> Vocabulary:
    if isinstance(given, Mapping):
        return learn_vocabulary(**given)
    if given != "shapes":
        raise ClipkitError(f"vocabulary={given!r} is neither 'shapes' nor a dict(file=…, questions=…)")
    return Vocabulary(SHAPE_ANSWERS, SHAPE_WORDS)


def _digest(*parts: Sequence[str]) -> Tensor:
    digest = hashlib.sha256("\n\n".join("\n".join(part) for part in parts).encode()).digest()
    return torch.tensor(list(digest[:8]), dtype=torch.uint8)


def nothing(grid: Grid) -> Grid:
    """The same cells, with nothing in them."""
    return Grid(torch.zeros_like(grid.cells), grid.place, None if grid.joint is None else torch.zeros_like(grid.joint))
