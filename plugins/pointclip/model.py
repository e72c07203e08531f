"""Clouds of points named by a frozen CLIP that saw pictures (PointCLIP: Zhang et al., CVPR 2022, arXiv:2112.02413)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from clipkit_plugins.pointclip.adapter import InterViewAdapter
from clipkit_plugins.pointclip.features import embed_views, together
from clipkit_plugins.pointclip.projection import build_projection
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from clipkit.backbone import FrozenCLIP
from clipkit.backbone.options import clip_options
from clipkit.engine.class_names import read_classes
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.nn import PointNet
from clipkit.text import Vocabulary
from clipkit.text.class_rows import ClipText, as_vocabulary


@MODELS.register_module()
class PointCLIP(BaseModel):
    """Parts that each say what a cloud is, from the same stored views, and learn side by side without touching each
    other; the prediction is the mean of the probabilities of some.

    - `zero-shot`: s · Σ_v w_v cos(x_v, t_k), Σ w = 1, section 3.2; the w are equal, or given.
    - `weighted`: the same with w learned from training clouds. The original searches them on the test set's labels.
    - `adapter`: cosine of the V adapted views, one after the other, with V times t_k, section 3.3.
    - `network`: a `PointNet` of the points alone, section 3.4.

    Args:
        clip: a name, or `dict(name=..., pretrained=..., precision=...)`; 'tiny_clip' is the shipped one.
        classes: names, see `clipkit.engine.class_names.read_classes`; None: `CloudClassesHook` brings the data's.
        templates: prompts, a set's name or a list; PointCLIP has 'point cloud depth map of a {}.' without training and
            'point cloud of a big {}.' with.
        projection: config of the data set's, see `clipkit_plugins.pointclip.projection`.
        weights: 'equal', 'learned', or a number for each view.
        adapter: options of `InterViewAdapter`; None without.
        network: options of `clipkit.nn.PointNet`, `classes` among them; None without.
        predict: parts whose probabilities make the prediction; None: adapter and network, or what there is.
        smoothing: of the labels: each other class has smoothing / (K - 1).

    Raises:
        ClipkitError: weights or parts that there are not.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any] = "tiny_clip",
        classes: str | Sequence[str] | None = None,
        templates: str | Sequence[str] = ("point cloud of a big {}.",),
        projection: Mapping[str, Any] | None = None,
        weights: str | Sequence[float] = "equal",
        adapter: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        predict: Sequence[str] | None = None,
        smoothing: float = 0.2,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.text = ClipText(clip_options(clip), templates=templates)
        self.projection = build_projection(dict(projection or {}))
        views, self.smoothing = len(self.projection.angles), smoothing
        learned = weights == "learned"
        given = torch.ones(views) if isinstance(weights, str) else torch.tensor([float(w) for w in weights])
        if isinstance(weights, str) and weights not in ("equal", "learned"):
            raise ClipkitError(f"PointCLIP: weights={weights!r} is neither 'equal', 'learned' nor a list of numbers")
        if given.shape != (views,) or not given.sum() > 0:
            raise ClipkitError(f"PointCLIP: weights= needs a number for each of the {views} views, not all of them 0")
        self.register_buffer("given", given / given.sum(), persistent=False)
        self.view_weights = nn.Parameter(torch.zeros(views)) if learned else None
        self.adapter = None if adapter is None else InterViewAdapter(self.clip.embed_dim, views, **adapter)
        self.network = None if network is None else PointNet(**network)
        there = {"zero-shot": True, "weighted": learned, "adapter": adapter is not None, "network": network is not None}
        self.parts = [name for name, is_there in there.items() if is_there]
        trained = [name for name in self.parts if name in ("adapter", "network")]
        self.predicting = list(predict) if predict is not None else trained or self.parts[-1:]
        if not self.predicting or set(self.predicting) - set(self.parts):
            raise ClipkitError(f"PointCLIP: predict={list(self.predicting)}: this model has {', '.join(self.parts)}")
        self.vocabulary: Vocabulary | None = None
        self.named = classes is not None
        if classes is not None:
            self.set_classes(read_classes(classes))

    @property
    def clip(self) -> FrozenCLIP:
        """The frozen CLIP."""
        return self.text.clip

    def set_classes(self, names: Sequence[str]) -> None:
        """Names of the classes, unless the constructor was given some."""
        if not self.named or self.vocabulary is None:
            self.label_names = tuple(names)
            self.vocabulary = as_vocabulary(list(names), self.text.templates)

    def set_labels(self, labels: Any) -> tuple[str, ...]:
        """Other names at prediction, `Vocabulary`, list or 'a, b; synonym'; None: the model's own.

        Raises:
            ClipkitError: a network of points is asked, whose classes are fixed; or labels with a background.
        """
        own = Vocabulary(self.label_names, templates=self.text.templates)
        chosen = own if labels is None else as_vocabulary(labels, self.text.templates)
        if chosen.background.kind != "none":
            raise ClipkitError("PointCLIP takes no background: every cloud has a class")
        if labels is not None and "network" in self.predicting and chosen.names != own.names:
            raise ClipkitError("a network of points has fixed classes: leave the labels out, or set model.predict")
        self.vocabulary = chosen
        return chosen.names

    def rows(self) -> Tensor:
        """Unit rows of the classes, `(K, D)`."""
        if self.vocabulary is None:
            if not getattr(self, "label_names", ()):
                raise ClipkitError(
                    "nobody named the classes: say model.classes=, or custom_hooks=[dict(type='CloudClassesHook')]"
                )
            self.set_labels(None)
        assert self.vocabulary is not None
        words = [own[0] for own in self.vocabulary.words]
        return self.text.bank.encode_words(words, self.text.templates).to(self.given.device)

    # ---- what is said ----------------------------------------------------------------------------------------------

    def scale(self) -> Tensor:
        """s of the cosines, CLIP's own."""
        return self.clip.model.logit_scale.detach().float().exp()

    def view_logits(self, views: Tensor, rows: Tensor | None = None) -> Tensor:
        """`(B, V, D)` -> s · cosine with each class, `(B, V, K)`; `rows` `(K, D)` in place of the classes' own."""
        return self.scale() * F.normalize(views, dim=-1) @ (self.rows() if rows is None else rows).T

    def logits(self, views: Tensor, points: Tensor | None = None, rows: Tensor | None = None) -> dict[str, Tensor]:
        """Of each part `(B, K)`, from embeddings `(B, V, D)` and points `(B, P, 3)`; `rows` as for `view_logits`."""
        rows = self.rows() if rows is None else rows
        each = self.view_logits(views, rows)
        found = {"zero-shot": torch.einsum("bvk,v->bk", each, self.given)}
        if self.view_weights is not None:
            found["weighted"] = torch.einsum("bvk,v->bk", each, self.view_weights.softmax(0))
        if self.adapter is not None:
            adapted = F.normalize(self.adapter(views).flatten(1), dim=1).view_as(views)
            found["adapter"] = self.scale() * adapted.sum(1) @ rows.T / views.shape[1] ** 0.5
        if self.network is not None and points is not None:
            found["network"] = self.network(points)
            if found["network"].shape[1] != each.shape[2]:
                raise ClipkitError(f"there are {each.shape[2]} classes: set model.network.classes to that number")
        return found

    def probabilities(self, logits: Mapping[str, Tensor]) -> Tensor:
        """The prediction `(B, K)`: the mean over `predicting`."""
        return torch.stack([logits[name].softmax(-1) for name in self.predicting]).mean(0)

    @torch.no_grad()
    def classify_cloud(self, points: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """One cloud `(N, 3)` in the unit sphere -> probabilities `(K,)` of each part and of `all`, the votes of the
        views `(V, K)` and their pictures `(V, 3, size, size)` in [0, 1]; all on the CPU."""
        views, pictures = embed_views(self.clip, self.projection, together([points.numpy()]))
        views = views.to(self.given.device)
        found = self.logits(views, points[None].to(views.device))
        said = {name: own[0].softmax(-1).cpu() for name, own in found.items()}
        said["all"] = self.probabilities(found)[0].cpu()
        return said, self.view_logits(views)[0].softmax(-1).cpu(), pictures[0].clamp(0, 1).cpu()

    # ---- mmengine --------------------------------------------------------------------------------------------------

    def forward(
        self, views: Sequence[Tensor], points: Sequence[Tensor], label: Sequence[Tensor], mode: str = "tensor"
    ) -> Any:
        """B clouds: of each `views` `(V, D)`, `points` `(P, 3)` and its class.

        Args:
            mode: 'loss' gives one loss for each part that learns; 'predict' a dict a cloud with `scores` `(K,)`, and
                `parts` and `votes`, what each part and each view guesses; 'tensor' the logits of each part.
        """
        device = self.given.device
        stack = torch.stack(list(views)).to(device)
        cloud = torch.stack(list(points)).to(device)
        found = self.logits(stack, _other(cloud) if mode == "loss" else cloud)
        if mode == "tensor":
            return found
        labels = torch.stack(list(label)).to(device)
        if mode == "loss":
            classes = next(iter(found.values())).shape[1]
            share = self.smoothing * classes / max(classes - 1, 1)  # torch gives the right class its part too
            return {
                f"loss_{name}": F.cross_entropy(own, labels, label_smoothing=share)
                for name, own in found.items()
                if name != "zero-shot"
            }
        scores, votes = self.probabilities(found), self.view_logits(stack).argmax(-1)
        guesses = {name: own.argmax(1).tolist() for name, own in found.items()}
        return [
            {
                "scores": scores[i].cpu(),
                "label": int(labels[i]),
                "parts": {name: own[i] for name, own in guesses.items()},
                "votes": votes[i].cpu(),
            }
            for i in range(len(scores))
        ]


def _other(points: Tensor) -> Tensor:
    """Clouds as training sees them: each axis longer or shorter by up to a fifth, and a little moved."""
    scale = 0.8 + 0.4 * torch.rand(len(points), 1, 3, device=points.device)
    return points * scale + 0.1 * (torch.rand(len(points), 1, 3, device=points.device) - 0.5)
