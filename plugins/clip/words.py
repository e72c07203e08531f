"""Predicting the words of a caption: what CLIP's contrastive objective is compared with (claim C2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from clipkit_plugins.clip.pretrain import plain_attention
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from clipkit.backbone import TunableCLIP
from clipkit.backbone.options import clip_options
from clipkit.engine.registry import MODELS
from clipkit.shapes import render


def words_of(text: str) -> list[str]:
    """The words of a caption, in small letters."""
    return re.findall(r"[a-z]+", text.lower())


def caption_words(scenes: int = 2000) -> tuple[str, ...]:
    """All words that captions of the embedded world use, in alphabetical order."""
    found: set[str] = set()
    for start in range(0, scenes, 500):
        for text in render(500, seed=start).captions:
            found.update(words_of(text))
    return tuple(sorted(found))


@MODELS.register_module()
class WordPredictor(BaseModel):
    """An image tower that predicts which words its caption has,

        L = - mean over images of  1/|c| sum over words w of caption c of  log softmax(V f(x) + b)_w

    (Radford et al. 2021, figure 2, "bag of words prediction"; Joulin et al. 2016). Zero-shot, a class's score is the
    mean of its words' log-probabilities. It takes the data of `ContrastivePretrainer`.

    Args:
        clip: a name, or `dict(name=..., pretrained=...)`, whose image tower is trained; its text tower is not used.
        fused_attention: see `ContrastivePretrainer`.
        name: belongs into `clip`; read here until 1.0.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any] | None = None,
        fused_attention: bool = True,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.clip = TunableCLIP.from_pretrained(**clip_options(clip, name=name)).unfreeze("visual")
        self.words = caption_words()
        self.place = {word: i for i, word in enumerate(self.words)}
        self.head = nn.Linear(self.clip.embed_dim, len(self.words))
        if not fused_attention:
            plain_attention(self.clip)

    def forward(self, images: list[Tensor], texts: list[list[str]], mode: str = "tensor") -> Any:
        """Items of `ShapesCaptions`, collated to lists. mode 'loss' gives the loss, 'tensor' log-probabilities."""
        found = self.log_probabilities(torch.cat(images))
        if mode != "loss":
            return found
        bags = self.bags([caption for item in texts for caption in item]).to(found)
        return {"loss": -(found * bags).sum(1).mean()}

    def log_probabilities(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` in [0, 1] -> `(B, words)`."""
        return F.log_softmax(self.head(self.clip.encode_image(images, normalize=False)).float(), dim=1)

    def bags(self, texts: list[str]) -> Tensor:
        """Share of each word among a text's known words, `(N, words)`; rows sum to 1, or 0 without any."""
        out = torch.zeros(len(texts), len(self.words))
        for row, text in enumerate(texts):
            for word in words_of(text):
                if word in self.place:
                    out[row, self.place[word]] += 1
        return out / out.sum(1, keepdim=True).clamp(min=1)

    @torch.no_grad()
    def guess(self, images: Tensor, names: list[str], batch: int = 250) -> Tensor:
        """`(B,)` the name whose words are most likely, by the mean of their log-probabilities."""
        bags = self.bags(names)
        parts = [self.log_probabilities(part.to(self.clip.device)).cpu() @ bags.T for part in images.split(batch)]
        return torch.cat(parts).argmax(1)
