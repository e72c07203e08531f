"""Encodes a vocabulary once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from clipkit.text._embeddings import TextEmbeddings
from clipkit.text.vocabulary import Vocabulary


class TextEncoder(Protocol):
    """What a `TextBank` needs of a model; `FrozenCLIP` has it."""

    weights_hash: str
    embed_dim: int

    def tokenize(self, texts: list[str]) -> Tensor: ...

    def encode_text(self, texts: list[str], normalize: bool = True) -> Tensor: ...


class TextBank:
    """Class embeddings of a frozen text tower, encoded once per word, prompt ensemble and model.

    Each prompt's embedding is normalised, the mean over the templates is normalised again
    (`open_clip.build_zero_shot_classifier`).

    Args:
        clip: a `FrozenCLIP`, or anything with `tokenize`, `encode_text(texts, normalize)`, `weights_hash`, `embed_dim`.
            Its weights must not change while the bank lives.
        cache_dir: folder for the rows of all prompts; a killed run goes on from there. None keeps words in memory only.
        batch_size: prompts a forward pass.
        progress: a progress bar for work that takes longer than a second.
    """

    def __init__(
        self,
        clip: TextEncoder,
        cache_dir: str | Path | None = None,
        *,
        batch_size: int = 256,
        progress: bool = True,
    ) -> None:
        self.clip = clip
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.batch_size = batch_size
        self.progress = progress
        self._words: dict[tuple[str, tuple[str, ...]], Tensor] = {}

    @torch.no_grad()
    def encode(self, vocabulary: Vocabulary | Sequence[str]) -> TextEmbeddings:
        """Vocabulary -> rows of length 1, on the CPU, in the vocabulary's order.

        Args:
            vocabulary: a `Vocabulary`, or a list of names for one with the bare label as prompt.
        """
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = Vocabulary(vocabulary)
        groups = vocabulary.words
        flat = [word for group in groups for word in group] + list(vocabulary.background.words)
        vectors = self._encode_words(flat, vocabulary)

        rows: list[Tensor] = []
        owner: list[int] = []
        for index, group in enumerate(groups):
            found = torch.stack([vectors[word] for word in group])
            if vocabulary.reduce == "mean" and len(group) > 1:
                found = F.normalize(found.mean(0, keepdim=True), dim=-1)
            rows.append(found)
            owner += [index] * len(found)
        # Background words mean different things; their mean would mean nothing. They always stay apart.
        for word in vocabulary.background.words:
            rows.append(vectors[word][None])
            owner.append(len(groups))
        return TextEmbeddings(
            names=vocabulary.names,
            matrix=torch.cat(rows),
            row_class=torch.tensor(owner),
            background=vocabulary.background,
            info={"weights": self.clip.weights_hash},
        )

    def _encode_words(self, words: list[str], vocabulary: Vocabulary) -> dict[str, Tensor]:
        templates = vocabulary.templates
        missing = [word for word in dict.fromkeys(words) if (word, templates) not in self._words]
        if missing:
            prompts = {word: vocabulary.prompts(word) for word in missing}
            rows = self.encode_prompts([text for word in missing for text in prompts[word]])
            for word, block in zip(missing, rows.split(len(templates))):
                self._words[word, templates] = F.normalize(block.mean(0), dim=-1)
        return {word: self._words[word, templates] for word in words}

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Whole sentences -> `(len(prompts), D)` float32 rows of length 1, on the CPU."""
        unique = list(dict.fromkeys(prompts))
        rows = self._compute(unique)
        if len(unique) == len(prompts):
            return rows
        place = {text: index for index, text in enumerate(unique)}
        return rows[torch.tensor([place[text] for text in prompts])]

    def _compute(self, prompts: list[str]) -> Tensor:
        from tqdm import tqdm

        out = []
        with tqdm(total=len(prompts), desc="encoding text", unit="prompt", delay=1, disable=not self.progress) as bar:
            for start in range(0, len(prompts), self.batch_size):
                batch = prompts[start : start + self.batch_size]
                out.append(self.clip.encode_text(batch, normalize=True).float().cpu())
                bar.update(len(batch))
        return torch.cat(out)

    def _key(self) -> dict[str, Any]:
        # A tokenizer can be injected, so the weights alone do not say what a prompt becomes.
        probe = self.clip.tokenize(["A photo of 12 naïve cats, isn't it?", "z"])
        tokens = hashlib.sha256(json.dumps(probe.tolist()).encode()).hexdigest()
        return {"kind": "text", "weights": self.clip.weights_hash, "tokenizer": tokens, "dtype": "float32"}
