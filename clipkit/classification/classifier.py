"""A frozen CLIP and the prompts around class names: all that zero-shot classification needs of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn import functional as F

from clipkit.backbone import FrozenCLIP
from clipkit.backbone.options import clip_options
from clipkit.embed.encoder import preprocessing
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.text import Vocabulary, get_templates
from clipkit.text.class_rows import ClipText

Templates = str | Sequence[str | Callable[[str], str]]
_RESIZE = {
    "shortest": "short side to {size}, centre crop",
    "longest": "long side to {size}, padded",
    "squash": "stretched to {size}",
}


@MODELS.register_module()
class ClipClassifier(BaseModel):
    """p(y | x) = softmax_y(s · cos(f(x), w_y)), w_y the normalised mean of the normalised embeddings of y's name in all
    templates (Radford et al. 2021, sections 3.1.2 and 3.1.4). Nothing trains.

    Args:
        clip: a name, or `dict(name=..., pretrained=..., precision=...)`; `tiny_clip` is the shipped one. Its precision,
            'fp32', 'bf16', 'fp16' or 'auto', is that of the computation of image features.
        templates: ensembles of prompts, each measured by itself: names of sets ('photo' 1, 'simple' 7, 'openai' 80),
            single prompts, or lists of prompts. The last one is whose classes are reported one by one.
        cache_dir: folder where the rows of prompts are kept between runs.
        pretrained, precision: belong into `clip`; read here until 1.0.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any] = "tiny_clip",
        pretrained: str | None = None,
        templates: Sequence[Templates] = ("{}", "photo", "simple", "openai"),
        precision: str | None = None,
        cache_dir: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if isinstance(templates, str) or not templates:
            raise ClipkitError(f"templates= is a list of ensembles, got {templates!r}")
        options = clip_options(clip, pretrained=pretrained, precision=precision)
        self.pretrained, self.precision = options.get("pretrained"), options.pop("precision", "fp32")
        self.text = ClipText(options, cache_dir=cache_dir)
        self.ensembles: dict[str, tuple[str, ...]] = {}
        for given in templates:
            name = _name_of(given)
            if name in self.ensembles:
                name += f"-{len(self.ensembles) + 1}"
            self.ensembles[name] = get_templates(given)
        self.vocabulary: Vocabulary | None = None

    @property
    def clip(self) -> FrozenCLIP:
        """The frozen CLIP."""
        return self.text.clip

    def set_labels(self, vocabulary: Vocabulary | None) -> None:
        """Names, with synonyms, instead of the data set's; its templates do not count, the model's do."""
        if vocabulary is not None and vocabulary.background.kind != "none":
            raise ClipkitError("ClipClassifier takes no background: every image has a class")
        self.vocabulary = vocabulary

    def classifier(self, names: Sequence[str], templates: Sequence[str]) -> Tensor:
        """Rows of length 1, `(len(names), D)`; a name may come twice, as some of ImageNet's do."""
        return self.text.bank.encode_words(names, templates)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor", *, rows: Tensor) -> Tensor:
        """`inputs` (B, 3, H, W) float RGB in [0, 1] and the `rows` of a classifier (K, D) -> logits (B, K)."""
        return self.clip.logit_scale * self.clip.encode_image(inputs) @ F.normalize(rows.to(inputs.device), dim=-1).T

    def described(self) -> dict[str, str]:
        """What every number of this model depends on, in words."""
        name = self.clip.name.replace("\\", "/").rstrip("/").rpartition("/")[2]  # a folder's place says nothing
        made = preprocessing(self.clip)
        size = "x".join(map(str, dict.fromkeys(made["size"])))
        return {
            "weights": f"{name}{f'/{self.pretrained}' if self.pretrained else ''} {self.clip.weights_hash[:12]}",
            "activation": activation(self.clip),
            "resize": f"{_RESIZE[made['resize_mode']].format(size=size)}, {made['interpolation']}",
            "precision": self.precision,
        }


def activation(model: torch.nn.Module) -> str:
    """The kinds of activation in a model, e.g. 'QuickGELU'."""
    found = {type(module).__name__ for module in model.modules()}
    known = sorted(found & {"QuickGELU", "GELU", "GELUTanh", "ReLU", "SiLU"})
    return "+".join(known) or "none"


def _name_of(templates: Templates) -> str:
    if templates == "{}":
        return "bare"
    if isinstance(templates, str):
        return templates
    return f"own{len(templates)}"
