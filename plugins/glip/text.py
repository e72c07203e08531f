"""Prompts as tokens: by a frozen CLIP, each phrase alone, or by a BERT whose folder lies here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from clipkit.backbone import FrozenCLIP, TunableCLIP
from clipkit.backbone.options import build_frozen, clip_options
from clipkit.backbone.tune import tune as apply_tune
from clipkit.detection.prompts import SEPARATOR, Prompt
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError, shown
from clipkit.nn import TextLayer
from clipkit.safe import load_tensors, read_json
from clipkit.text import TokenBank
from clipkit.text.tokens import token_states


class PromptTokens(NamedTuple):
    """A batch of prompts.

    Attributes:
        features: (B, L, W).
        mask: (B, L) bool, False in the padding.
        attend: (B, L, L) bool, or (B, 1, L): which tokens a token may read in the layers of a head.
        phrases: of each prompt (P, L) bool: the tokens of its phrases.
    """

    features: Tensor
    mask: Tensor
    attend: Tensor
    phrases: list[Tensor]


@MODELS.register_module()
class ClipPrompts(nn.Module):
    """Token states of a CLIP's text tower, a linear map, and layers in which the tokens read each other.

    CLIP's own attention is causal and its context short, so each phrase, and each run of words between two, is encoded
    alone (by a frozen tower once: it is cached), and the layers on top are bidirectional. Names of a list neither read
    each other nor have positions among each other: what is said of one does not depend on which others are asked for.

    Args:
        clip: a name, or `dict(name=…, pretrained=…)`.
        width: W, of what comes out.
        layers, heads: of the bidirectional layers.
        positions: tokens that a sentence may have, or a name of a list.
        max_tokens: of a prompt; longer lists are asked for in several.
        dropout: of the layers.
        tune: what of the text tower trains, see `clipkit.backbone.tune`: `dict(unfreeze=['text'])`, or some of its
            blocks. None: nothing; the weights are then no part of a checkpoint.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any] = "tiny_clip",
        width: int = 96,
        layers: int = 1,
        heads: int = 4,
        positions: int = 64,
        max_tokens: int = 256,
        dropout: float = 0.0,
        tune: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.clip: FrozenCLIP | TunableCLIP
        if tune is None:
            self.clip = build_frozen(clip_options(clip))
        else:
            self.clip = apply_tune(TunableCLIP.from_pretrained(**clip_options(clip)), tune)
        self.bank = TokenBank(self.clip)
        self.width, self.max_tokens, self.around = width, max_tokens, 0
        self.project = nn.Linear(self.clip.text_positions.shape[1], width)
        self.positions = nn.Embedding(positions, width)
        nn.init.normal_(self.positions.weight, std=0.02)
        self.layers = nn.ModuleList(TextLayer(width, heads, dropout=dropout) for _ in range(layers))

    def count(self, names: Sequence[str]) -> list[int]:
        """Tokens that each name takes in a list.

        Raises:
            ClipkitError: a name is longer than the text tower or a prompt takes.
        """
        states = self._states(names)
        counts = [len(states[name]) for name in names]
        most = min(self.positions.num_embeddings, self.max_tokens)
        for name, count in zip(names, counts):
            if count > most:
                raise ClipkitError(f"{shown(name)}: has {count} tokens, and a name may have {most}: shorten it")
        return counts

    def _states(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Of each text the states of its tokens and of its end (n, W)."""
        if isinstance(self.clip, TunableCLIP) and torch.is_grad_enabled():
            found = token_states(self.clip, texts)
        else:
            tokens = self.bank.tokens(texts)
            found = [(row[mask], span[mask]) for row, span, mask in zip(tokens.features, tokens.spans, tokens.mask)]
        for text, (state, span) in zip(texts, found):
            if len(state) == self.clip.context_length and int(span[:, 1].max()) < len(text.rstrip()):
                most = self.clip.context_length - 2
                raise ClipkitError(f"{shown(text, 80)}: has more tokens than this text tower takes, {most}: shorten it")
        return {text: state[1:] for text, (state, _) in zip(texts, found)}

    def forward(self, prompts: Sequence[Prompt]) -> PromptTokens:
        """Raises:
        ClipkitError: a sentence with more tokens than `positions`, or a run of words that the text tower cannot take.
        """
        pieces = [[(text.strip(), owners) for text, owners in prompt.pieces()] for prompt in prompts]
        # The separators of a list say nothing.
        kept = [
            [(text, owners) for text, owners in row if text and (owners or not prompt.listed)]
            for row, prompt in zip(pieces, prompts)
        ]
        known = self._states(list(dict.fromkeys(text for row in kept for text, _ in row)))
        # What reads itself alone: a name of a list, in however many lists it is, or a whole sentence.
        own = [
            [(text,) for text, _ in row] if prompt.listed else [tuple(text for text, _ in row)]
            for row, prompt in zip(kept, prompts)
        ]
        units = {
            key: torch.cat([known[text] for text in key]) for key in dict.fromkeys(key for row in own for key in row)
        }
        read, width = self._read(list(units.values()))
        start = {key: i * width for i, key in enumerate(units)}
        index, groups, phrases = [], [], []
        for row, keys, prompt in zip(kept, own, prompts):
            index.append(torch.cat([start[key] + torch.arange(len(units[key])) for key in keys]))
            groups.append(torch.arange(len(keys)).repeat_interleave(torch.tensor([len(units[key]) for key in keys])))
            owned = [i in owners for i in range(len(prompt.spans)) for _, owners in row]
            table = torch.tensor(owned, dtype=torch.bool).view(len(prompt.spans), len(row))
            phrases.append(table.repeat_interleave(torch.tensor([len(known[text]) for text, _ in row]), 1))
        device = read.device
        group = pad_sequence(groups, batch_first=True, padding_value=-1).to(device)
        features = read[pad_sequence(index, batch_first=True).to(device)]
        length = group.shape[1]
        padded = [nn.functional.pad(p, (0, length - p.shape[1])).to(device) for p in phrases]
        return PromptTokens(features, group >= 0, group[:, :, None] == group[:, None], padded)

    def _read(self, states: list[Tensor]) -> tuple[Tensor, int]:
        """Token states (n, W) of texts that read themselves alone -> (texts * longest, width), and the longest."""
        longest = max(map(len, states))
        if longest > self.positions.num_embeddings:
            raise ClipkitError(
                f"a sentence has {longest} tokens, and {self.positions.num_embeddings} are read: shorten it"
            )
        device = self.project.weight.device
        mask = pad_sequence([torch.ones(len(state), dtype=torch.bool) for state in states], batch_first=True).to(device)
        x = self.project(pad_sequence(states, batch_first=True).to(device)) + self.positions.weight[:longest]
        for layer in self.layers:
            x = layer(x, mask[:, None])
        return x.flatten(0, 1), longest


@MODELS.register_module()
class BertPrompts(nn.Module):
    """Token states of BERT's last layer over the whole prompt, as the released weights want them.

    Args:
        folder: holds BERT's `config.json` and `vocab.txt` (of bert-base-uncased for the released weights), and
            `model.safetensors` where training starts from BERT's own weights; a checkpoint of GLIP brings its own.
        max_tokens: of a prompt; longer lists are asked for in several.
        frozen: whether BERT is trained.

    Raises:
        ClipkitError: the folder or a file of it is missing.
    """

    def __init__(self, folder: str, max_tokens: int = 256, frozen: bool = False):
        super().__init__()
        try:
            from tokenizers.implementations import BertWordPieceTokenizer
            from transformers import BertConfig, BertModel
        except ImportError as error:
            raise ClipkitError("BertPrompts needs the package transformers: pip install transformers") from error
        path = Path(folder)
        for name in ("config.json", "vocab.txt"):
            if not (path / name).is_file():
                raise ClipkitError(
                    f"{folder}: has no {name}: give the folder of bert-base-uncased by "
                    "--cfg-options variables.bert=FOLDER"
                )
        self.tokenizer = BertWordPieceTokenizer(str(path / "vocab.txt"), lowercase=True)
        config = BertConfig(**_listed(read_json(path / "config.json"), folder))
        self.bert = BertModel(config, add_pooling_layer=False)
        if (weights := path / "model.safetensors").is_file():
            self.bert.load_state_dict(_own_weights(load_tensors(weights), self.bert, weights))
        self.bert.requires_grad_(not frozen)
        self.width, self.max_tokens, self.around = config.hidden_size, max_tokens, 2  # its start and end

    def count(self, names: Sequence[str]) -> list[int]:
        """Tokens that each name takes in a list, its separator included.

        Raises:
            ClipkitError: a name is longer than a prompt.
        """
        counts = [len(self.tokenizer.encode(name + SEPARATOR, add_special_tokens=False).ids) for name in names]
        for name, count in zip(names, counts):
            if count > self.max_tokens - 2:
                raise ClipkitError(f"{shown(name)}: has {count} tokens, more than {self.max_tokens - 2}: shorten it")
        return counts

    def forward(self, prompts: Sequence[Prompt]) -> PromptTokens:
        """Raises:
        ClipkitError: a prompt of more than `max_tokens` tokens.
        """
        encoded = [self.tokenizer.encode(prompt.text) for prompt in prompts]
        for prompt, one in zip(prompts, encoded):
            if len(one.ids) > self.max_tokens:
                raise ClipkitError(
                    f"{shown(prompt.text, 80)}: has {len(one.ids)} tokens, and {self.max_tokens} are read: ask for less"
                )
        device = self.bert.embeddings.word_embeddings.weight.device
        ids = pad_sequence([torch.tensor(one.ids) for one in encoded], batch_first=True).to(device)
        mask = pad_sequence([torch.ones(len(one.ids), dtype=torch.bool) for one in encoded], batch_first=True)
        phrases = []
        for prompt, one in zip(prompts, encoded):
            rows = torch.zeros(len(prompt.spans), mask.shape[1], dtype=torch.bool)
            for row, ranges in zip(rows, prompt.spans):
                for i, (start, end) in enumerate(one.offsets):
                    row[i] = any(start < b and end > a for a, b in ranges)
            phrases.append(rows.to(device))
        mask = mask.to(device)
        features = self.bert(ids, attention_mask=mask.long()).last_hidden_state
        return PromptTokens(features, mask, mask[:, None], phrases)


# What a stranger's config.json may set: transformers would also take code from a hub where another entry names it.
_SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"),
    *("max_position_embeddings", "type_vocab_size", "pad_token_id"),
)
_RATES = ("layer_norm_eps", "hidden_dropout_prob", "attention_probs_dropout_prob")
_MOST = 200_000


def _listed(said: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Sizes and rates of a BERT's configuration."""
    for name in (*_SIZES, *_RATES):
        value = said.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST:
            raise ClipkitError(f"{folder}/config.json: {name} is {shown(value, 40)}, which no BERT has")
    return {name: said[name] for name in (*_SIZES, *_RATES) if name in said}


def _own_weights(found: Mapping[str, Any], bert: nn.Module, path: Path) -> dict[str, Tensor]:
    """BERT's weights among those of a file of any of its models, in the names of today or of its first years."""
    old = {"gamma": "weight", "beta": "bias"}
    own = {
        re.sub(r"LayerNorm\.(gamma|beta)$", lambda m: f"LayerNorm.{old[m[1]]}", key.removeprefix("bert.")): value
        for key, value in found.items()
    }
    wanted = bert.state_dict()
    for key, value in wanted.items():
        if key not in own or own[key].shape != value.shape:
            raise ClipkitError(f"{path}: lacks {key} of the shape {tuple(value.shape)} that its config.json says")
    return {key: own[key] for key in wanted}
