"""Encodes a vocabulary once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from clipkit.store import Store
from clipkit.text._embeddings import TextEmbeddings
from clipkit.text.templates import fill, get_templates
from clipkit.text.vocabulary import Vocabulary


class TextEncoder(Protocol):
    """What a `TextBank` needs of a model; `FrozenCLIP` has it."""

    @property
    def weights_hash(self) -> str: ...

    @property
    def embed_dim(self) -> int: ...

    def tokenize(self, texts: list[str]) -> Tensor: ...

    def encode_text(self, texts: list[str], normalize: bool = True) -> Tensor: ...


class TextBank:
    """Class embeddings of a frozen text tower, encoded once per word, prompt ensemble and model.

    Each prompt's embedding is normalised, the mean over the templates is normalised again
    (`open_clip.build_zero_shot_classifier`).

    Args:
        clip: a `FrozenCLIP`, or anything with `tokenize`, `encode_text(texts, normalize)`, `weights_hash`, `embed_dim`.
            Where weights train, each hash is a model of its own.
        cache_dir: folder for the rows of all prompts; a killed run goes on from there. None keeps words in memory only.
        batch_size: prompts a forward pass.
        progress: a progress bar for work of more than one batch that takes longer than a second.
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
        self._store: Store | None = None
        self._words: dict[tuple[str, tuple[str, ...], str], Tensor] = {}

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
        vectors = self._encode_words(flat, vocabulary.templates)

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

    @torch.no_grad()
    def encode_words(
        self, words: Sequence[str], templates: str | Sequence[str | Callable[[str], str]] = ("{}",)
    ) -> Tensor:
        """Single words in a prompt ensemble, repeats and other spellings allowed -> `(len(words), D)` unit rows on the
        CPU, in the caller's order."""
        vectors = self._encode_words(list(words), get_templates(templates))
        return torch.stack([vectors[word] for word in words])

    def _encode_words(self, words: list[str], templates: tuple[str, ...]) -> dict[str, Tensor]:
        weights = self.clip.weights_hash
        missing = [word for word in dict.fromkeys(words) if (word, templates, weights) not in self._words]
        # In blocks, since 10,000 names x 80 templates x 512 floats are 1.6 GB and the answer is 20 MB.
        words_a_block = max(1, 16 * self.batch_size // len(templates))
        blocks = [missing[i : i + words_a_block] for i in range(0, len(missing), words_a_block)]
        prompts = [[fill(template, word) for word in block for template in templates] for block in blocks]
        for block, rows in zip(blocks, self._rows(prompts)):
            for word, ensemble in zip(block, rows.split(len(templates))):
                self._words[word, templates, weights] = F.normalize(ensemble.mean(0), dim=-1)
        return {word: self._words[word, templates, weights] for word in words}

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Whole sentences -> `(len(prompts), D)` float32 unit rows on the CPU; cached on disk, not in memory."""
        return next(self._rows([list(prompts)])) if prompts else torch.zeros(0, self.clip.embed_dim)

    def _rows(self, blocks: list[list[str]]) -> Iterator[Tensor]:
        """One `(len(block), D)` a block."""
        if self.cache_dir is not None:
            store = self._open_store()
            known = [text for block in blocks for text in block if text in store]
            self._tokenize_long(known)
            unique = dict.fromkeys(text for block in blocks for text in block)
            store.build(unique, self._compute_records, progress=self.progress, desc="encoding text", unit="prompt")
            for block in blocks:
                yield torch.from_numpy(store.read(block)[0])
            return
        from tqdm import tqdm

        distinct = [list(dict.fromkeys(block)) for block in blocks]
        total = sum(map(len, distinct))
        shown = self.progress and total > self.batch_size  # a single step would only be shown when it is over
        with tqdm(total=total, desc="encoding text", unit="prompt", delay=1, disable=not shown) as bar:
            for block, unique_here in zip(blocks, distinct):
                place = {text: index for index, text in enumerate(unique_here)}
                rows = self._compute(unique_here, bar.update)
                yield rows[[place[text] for text in block]]

    def _compute(self, prompts: list[str], tick: Callable[[int], Any] | None = None) -> Tensor:
        batches = []
        for start in range(0, len(prompts), self.batch_size):
            batch = prompts[start : start + self.batch_size]
            # Rows are kept for whoever asks next: not in the half precision of a caller's autocast.
            with torch.autocast(str(getattr(self.clip, "device", "cpu")).split(":")[0], enabled=False):
                batches.append(self.clip.encode_text(batch, normalize=True).float().cpu())
            if tick is not None:
                tick(len(batch))
        return torch.cat(batches)

    def _compute_records(self, prompts: list[str]) -> list[Any]:
        return [row[None] for row in self._compute(prompts).numpy()]

    def _open_store(self) -> Store:
        key = self._key()
        if self._store is None or self._store.key != key:
            assert self.cache_dir is not None
            name = f"text-{key['weights'][:16]}-{key['tokenizer'][:8]}"
            self._store = Store(self.cache_dir / name, key, shard_size=512, batch_size=512)
        return self._store

    def _tokenize_long(self, prompts: list[str]) -> None:
        # A cached row must warn of a cut as a fresh one does. A token is at least one byte, so short prompts fit.
        room = getattr(self.clip, "context_length", 77) - 2
        long = [text for text in dict.fromkeys(prompts) if len(text.encode("utf-8", "replace")) > room]
        if long:
            self.clip.tokenize(long)

    def _key(self) -> dict[str, Any]:
        # A tokenizer can be injected, so the weights alone do not say what a prompt becomes.
        probe = self.clip.tokenize(["A photo of 12 naïve cats, isn't it?", "z"])
        tokens = hashlib.sha256(json.dumps(probe.tolist()).encode()).hexdigest()
        return {"kind": "text", "weights": self.clip.weights_hash, "tokenizer": tokens, "dtype": "float32"}
