"""Sentences -> the store that `clipkit.embed.frame_store` reads beside the frames."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clipkit.backbone import ClipModel
from clipkit.embed._work import Work
from clipkit.embed.crew import Alone, Crew
from clipkit.embed.frame_store import DTYPES, FORMAT, caption_id
from clipkit.errors import ClipkitError
from clipkit.store import Store, StoreError

CAPTIONS = 256  # sentences that are embedded at once


def embed_captions(
    out: str | Path,
    captions: Iterable[str],
    clip: ClipModel | None,
    made_by: Mapping[str, Any],
    *,
    tokens: bool = False,
    dtype: str = "fp16",
    progress: bool = True,
    crew: Crew | None = None,
) -> None:
    """Computes what the store `out/captions` (`out/tokens` for tokens) lacks of `captions`; equal ones once.

    Args:
        tokens: one row a token, the last one the end of text's; else the sentence's row alone. They are the same row.
        crew: who works, each with a CLIP of its own; `clip` is then not used. None: this process.
    """
    kind = "tokens" if tokens else "captions"
    made = {key: made_by[key] for key in ("weights", "precision")}
    key = {"kind": kind, "format": FORMAT, **made, "normalized": False, "dtype": dtype}
    store = Store(Path(out) / kind, key, shard_size=CAPTIONS, batch_size=CAPTIONS)
    text_of = {caption_id(text): text for text in captions}
    make = partial(_Captions, tokens=tokens, dtype=dtype, folder=store.folder)
    crew = crew or Alone(clip, made_by, 1)
    crew.fill(store, text_of, make, desc="sentences", unit="sentence", progress=progress)


class _Captions(Work[tuple[str]]):
    unit = "sentences"

    def __init__(
        self,
        clip: ClipModel,
        texts: Mapping[str, str],
        pool: ThreadPoolExecutor,
        *,
        tokens: bool,
        dtype: str,
        folder: Path,
    ) -> None:
        super().__init__(pool)
        self.clip, self.texts, self.tokens, self.dtype, self.folder = clip, texts, tokens, dtype, folder

    def read(self, key: str) -> tuple[str]:
        if key not in self.texts:
            raise StoreError(
                f"{self.folder}: sentences of a run that was stopped are not among these; delete this folder, "
                "sentences are soon embedded again"
            )
        return (self.texts[key],)

    def embed(self, ids: list[str], items: list[tuple[str] | None]) -> list[dict[str, np.ndarray]]:
        texts = [item[0] for item in items if item is not None]
        rows = [
            self.checked(torch.atleast_2d(row.float().cpu())) for row in sentence_rows(self.clip, texts, self.tokens)
        ]
        return [{"embeddings": row.numpy().astype(DTYPES[self.dtype])} for row in rows]


def sentence_rows(clip: ClipModel, texts: list[str], tokens: bool) -> list[Tensor]:
    """Of each sentence `(D,)`, or with `tokens` `(L, D)`, up to the end of text. Not normalised."""
    if not tokens:
        return list(clip.encode_text(texts, normalize=False))
    ends = clip.eot_index(clip.tokenize(texts))
    if ends is None:
        raise ClipkitError(
            f"{clip.name}: its sentences do not end in a token of their own, so words of sentences cannot be used: "
            "take another head than wti, without tokens=True, or another CLIP"
        )
    return [row[: end + 1] for row, end in zip(clip.text_tokens(texts), ends.tolist())]


def caption_rows(out: str | Path, texts: Sequence[str], clip: ClipModel, made_by: Mapping[str, Any]) -> Tensor:
    """`(N, D)` float32 of each sentence, not normalised. What a store of this CLIP's below `out` lacks is computed."""
    digest = hashlib.sha256(json.dumps([made_by["weights"], made_by["precision"]]).encode()).hexdigest()
    folder = Path(out) / f"texts-{digest[:16]}"
    embed_captions(folder, texts, clip, made_by, dtype="fp32", progress=False)
    rows, _ = Store(folder / "captions").read([caption_id(text) for text in texts], "embeddings")
    return torch.from_numpy(rows)
