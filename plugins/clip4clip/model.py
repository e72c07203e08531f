"""CLIP4Clip: a CLIP, a temporal head, and the contrastive objective between sentences and videos (Luo et al. 2021,
"CLIP4Clip: An Empirical Study of CLIP for End to End Video Clip Retrieval", arXiv:2104.08860)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor

from clipkit.adapters import (
    ContrastiveLoss,
    LogitScale,
    MaskedMean,
    MeanPool,
    TightTransformer,
    WeightedTokenInteraction,
    hard_negatives,
    pair_contrastive,
    temporal_head,
)
from clipkit.backbone import FrozenCLIP, TunableCLIP
from clipkit.backbone.options import build_frozen, clip_options
from clipkit.backbone.tune import changed_towers, refuse_stored
from clipkit.backbone.tune import tune as tuned
from clipkit.data.padding import pad_rows
from clipkit.embed.captions import sentence_rows
from clipkit.embed.frame_source import as_pixels
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError


@MODELS.register_module()
class CLIP4Clip(BaseModel):
    """Scores sentences and videos; trains the head, and of CLIP what `tune` says.

    Args:
        clip: a name, or `dict(name=..., pretrained=..., precision=...)`; 'tiny_clip' is the shipped one.
        head: `dict(type='seqTransf', ...)`, a name of `clipkit.adapters.temporal_head` and its options.
        tune: None: CLIP is frozen, and batches may bring embeddings from a store. Else what of it trains, see
            `clipkit.backbone.tune`; `unfreeze_from=9` is CLIP4Clip's `freeze_layer_num`. Where the image tower trains
            batches must bring raw frames, where the text tower does, strings.
        logit_scale: options of `LogitScale`; default: it starts at the CLIP's own. Heads whose scores are no cosines
            have none.
        negatives: of each sentence in training, `dict(hard=1, random=1)`, see `hard_negatives`; None: all other videos
            of the batch. For heads that score pairs one by one.
        videos_at_once: in a pass of a frozen CLIP over raw frames.
        objective: options of `ContrastiveLoss`, which then takes the place of the objective with several positives, for
            heads that give a video one embedding. With `overlap` samples say their `window`, as `NarratedVideos` does.

    Raises:
        ClipkitError: an unknown option of `tune` or of the objective, or one that does not fit the head; in a pass,
            embeddings of a tower that trains, or sentences that do not fit the head.
        ValueError: unknown head, or one that does not fit this CLIP.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any],
        head: Mapping[str, Any],
        tune: Mapping[str, Any] | None = None,
        logit_scale: Mapping[str, Any] | None = None,
        negatives: Mapping[str, int] | None = None,
        videos_at_once: int = 16,
        objective: Mapping[str, Any] | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.clip: FrozenCLIP | TunableCLIP
        self.changed: set[str] = set()
        if tune is None:
            self.clip = build_frozen(clip_options(clip))
        else:
            self.clip = tuned(TunableCLIP.from_pretrained(**clip_options(clip)), tune)
            self.changed = changed_towers(self.clip, tune)
        kind = dict(head)
        self.head: Any = temporal_head(kind.pop("type"), self.clip, **kind)
        self.by_words = isinstance(self.head, (WeightedTokenInteraction, MaskedMean))
        if (tune or {}).get("join_frames") and not isinstance(self.head, MeanPool):
            raise ClipkitError("join_frames gives a video one embedding and a head no time to see: use head meanP")
        self.logit_scale = LogitScale(**(logit_scale or {"init": min(self.clip.logit_scale, 100.0)}))
        self.logit_scale.requires_grad_(self.head.cosine)
        self.pick = None if negatives is None else _pick(negatives, self.head)
        self.videos_at_once = videos_at_once
        self.objective = None if objective is None else _objective(objective, self.head)

    def forward(
        self,
        frames: Sequence[Tensor],
        texts: Sequence[Sequence[Any]],
        video: Sequence[Tensor],
        caption: Sequence[Tensor],
        mode: str = "tensor",
        **about: Any,
    ) -> Any:
        """M videos with their sentences.

        Args:
            frames: of each video `(F, D)` embeddings, or `(F, 3, h, w)` uint8 RGB as `prepare_frames` gives it.
            texts: of each video its sentences: strings, or embeddings `(D,)`, for token-wise heads `(L, D)`.
            video, caption: ids, of each video () and of its sentences (k,); see `pair_contrastive`.
            mode: 'loss' gives the loss, 'predict' a dict a video for `RetrievalMetric`, 'tensor' the logits `(N, M)` of
                all sentences and videos.
            about: whatever else a sample says; 'predict' hands it on.
        """
        counts = [len(own) for own in texts]
        sentences = self.embed_texts([text for own in texts for text in own])
        embeddings, mask = self.embed_frames(frames)
        if mode == "predict":
            return _samples(embeddings, mask, sentences, counts, {"video": video, "caption": caption, **about})
        videos = (self.head(embeddings, mask),) if self.head.pools else (embeddings, mask)
        if mode == "tensor":
            return self.score(*sentences, *videos)
        if self.objective is not None:
            return {"loss": self._paired_loss(sentences, embeddings, mask, about.get("window"))}
        ids = torch.stack(list(video)).to(mask.device)
        owner = ids.repeat_interleave(torch.tensor(counts, device=ids.device))
        loss = pair_contrastive(
            self.score, sentences, videos, owner, torch.cat(list(caption)).to(ids), ids, pick=self.pick
        )
        return {"loss": loss}

    def _paired_loss(
        self, sentences: Sequence[Tensor], frames: Tensor, mask: Tensor, windows: Sequence[Tensor] | None
    ) -> Tensor:
        """Sentence i and video i are a pair."""
        text = self.head.text(*sentences) if self.by_words else sentences[0]
        if len(text) != len(frames):
            raise ClipkitError(f"the objective needs one sentence a video, not {len(text)} for {len(frames)}")
        if self.objective.overlap is None:
            windows = None
        elif windows is None:
            raise ClipkitError("objective.overlap needs samples with windows: those of NarratedVideos")
        together = None if windows is None else torch.stack(list(windows)).to(frames.device)
        scale = self.logit_scale() if self.head.cosine else 1.0
        return self.objective(text, self.head(frames, mask), scale, together)

    def score(self, text: Tensor, *rest: Tensor, **options: Tensor) -> Tensor:
        """Logits `(N, M)` of the parts of `embed_texts` and `embed_frames`, the latter pooled where the head does."""
        if self.head.pools:
            scores = F.normalize(text, dim=-1) @ rest[0].T
        elif self.by_words:
            scores = self.head.similarity(text, rest[1], rest[2], text_mask=rest[0])
        else:
            scores = self.head.similarity(text, *rest, **options)
        return scores * self.logit_scale() if self.head.cosine else scores

    def embed_frames(self, frames: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """M videos as embeddings or as pictures -> embeddings `(M, F, D)`, padded with zeros, and mask `(M, F)`."""
        if any(own.ndim == 4 for own in frames):
            frames = self._encode(frames)
        elif "visual" in self.changed:
            refuse_stored("visual")
        return pad_rows(frames)

    def embed_texts(self, texts: Sequence[Any]) -> tuple[Tensor, ...]:
        """N sentences as strings or embeddings -> `(N, D)`; for token-wise heads `(N, L, D)` and a mask `(N, L)`."""
        if isinstance(texts[0], str):
            texts = sentence_rows(self.clip, list(texts), self.by_words)
        elif "text" in self.changed:
            refuse_stored("text")
        if (texts[0].ndim == 2) != self.by_words:
            needs = "needs sentences with all their tokens" if self.by_words else "takes sentences without their tokens"
            raise ClipkitError(f"{type(self.head).__name__} {needs}: set variables.tokens={self.by_words}")
        return pad_rows(texts) if self.by_words else (torch.stack(list(texts)).float(),)

    def _encode(self, frames: Sequence[Tensor]) -> list[Tensor]:
        """Videos of one length go together, so that a 3D patch layer sees neither padding nor a stranger's frame."""
        found: dict[int, Tensor] = {}
        for length in sorted({len(own) for own in frames}):
            places = [i for i, own in enumerate(frames) if len(own) == length]
            step = self.videos_at_once if isinstance(self.clip, FrozenCLIP) else len(places)
            for start in range(0, len(places), step):
                part = places[start : start + step]
                if length == 0:
                    rows = frames[part[0]].new_zeros(len(part), 0, self.clip.embed_dim, dtype=torch.float32)
                else:
                    rows = self.clip.encode_frames(as_pixels(torch.stack([frames[i] for i in part])))
                found.update(zip(part, rows))
        return [found[i] for i in range(len(frames))]


def _pick(negatives: Mapping[str, int], head: Any) -> Any:
    """`hard_negatives` with these options, tried on one pair so that bad ones are refused before the first step."""
    if not isinstance(head, TightTransformer):
        raise ClipkitError(f"negatives: {type(head).__name__} scores all pairs at once: leave them out")
    pick, one = partial(hard_negatives, **negatives), torch.ones(1, 1, dtype=torch.bool)
    try:
        pick(one, torch.zeros(1, 1, 1), one)
    except (TypeError, ValueError) as error:
        raise ClipkitError(f"negatives: {error}") from error
    return pick


def _objective(options: Mapping[str, Any], head: Any) -> ContrastiveLoss:
    """`ContrastiveLoss` with these options; without unit length for heads whose scores are no cosines."""
    if not (head.pools or isinstance(head, MaskedMean)):
        raise ClipkitError(f"objective: {type(head).__name__} gives a video no embedding of its own: leave it out")
    try:
        return ContrastiveLoss(normalize=head.cosine, **options)
    except (TypeError, ValueError) as error:
        raise ClipkitError(f"objective: {error}") from error


def _samples(
    frames: Tensor, mask: Tensor, sentences: Sequence[Tensor], counts: Sequence[int], about: Mapping[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    text, *text_mask = (part.cpu() for part in sentences)
    # Copies: a view would be pickled with the whole batch behind it where ranks collect their samples.
    rows = [own[kept] for own, kept in zip(text, text_mask[0])] if text_mask else [row.clone() for row in text]
    frames, mask = frames.cpu(), mask.cpu()
    found, start = [], 0
    for index, count in enumerate(counts):
        own = {"frames": frames[index, mask[index]], "texts": rows[start : start + count]}
        found.append({**own, **{key: values[index] for key, values in about.items()}})
        start += count
    return found
