"""GLIP's head: a tower of DyHead blocks, with or without the text in it, and each place against each token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from clipkit_plugins.glip.text import PromptTokens
from mmdet.models.dense_heads import ATSSHead
from mmdet.utils import reduce_mean
from torch import Tensor, nn

from clipkit.engine.registry import MODELS
from clipkit.nn import BiFuse, DyConv, TextLayer

LARGEST = 50_000.0
NOTHING = 1 << 30  # mmdet's word for a place without an object is the number of classes; here it is no object's number


class Answers(NamedTuple):
    """What the head says of all N places of all levels, finest first, row by row.

    Attributes:
        logits: (B, N, L), of each place and token.
        deltas: (B, N, 4), for mmdet's box coder.
        centerness: (B, N), logits.
    """

    logits: Tensor
    deltas: Tensor
    centerness: Tensor


class Block(nn.Module):
    """Fusion, a layer for the text, one for the image (section 3.2); the first two in a deep head only."""

    def __init__(
        self, in_channels: int, channels: int, offsets: str | None, fuse: dict[str, Any] | None, text: dict[str, Any]
    ):
        super().__init__()
        self.fuse = None if fuse is None else BiFuse(in_channels, **fuse)
        self.text = None if fuse is None else TextLayer(**text)
        self.image = DyConv(in_channels, channels, offsets)

    def forward(self, levels: list[Tensor], text: PromptTokens | None) -> tuple[list[Tensor], PromptTokens | None]:
        """Levels (B, C, h, w) and the text, which a shallow head does not read."""
        if self.fuse is not None and self.text is not None:
            assert text is not None
            places, features = self.fuse(flatten(levels), text.features, text.mask)
            sizes = [level.shape[-2:] for level in levels]
            parts = places.split([h * w for h, w in sizes], 1)
            levels = [part.transpose(1, 2).unflatten(-1, size) for part, size in zip(parts, sizes)]
            text = text._replace(features=self.text(features, text.attend))
        return self.image(levels), text


@MODELS.register_module()
class GLIPHead(ATSSHead):
    """mmdet's ATSS (anchors, assigner, box coder, losses) with tokens in place of classes.

    Args:
        in_channels, channels: of the levels, and of the tower.
        text_width: W, of the prompts' tokens.
        blocks: of the tower: 6 in GLIP-T, 8 in GLIP-L.
        deep: whether the text goes through the tower with the image; shallow, only their dot product sees both.
        offsets: of the deformable convolutions, see `clipkit.nn.DyConv`.
        fuse: of `clipkit.nn.BiFuse`: `dim`, `heads`, `dropout`; its `scale_init` is 1 / blocks.
        text_layer: of `clipkit.nn.TextLayer`: `heads`, `hidden`, `dropout`.
        anchor_generator, bbox_coder, loss_cls, loss_bbox, loss_centerness, train_cfg, test_cfg: mmdet's. A coder whose
            name ends in `ForGLIP` counts a box's last pixel as the release does: `x2 - x1 + 1` is its width.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        text_width: int,
        anchor_generator: dict,
        bbox_coder: dict,
        blocks: int = 6,
        deep: bool = True,
        offsets: str | None = "kernel",
        fuse: dict[str, Any] | None = None,
        text_layer: dict[str, Any] | None = None,
        loss_cls: dict | None = None,
        loss_bbox: dict | None = None,
        loss_centerness: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(
            NOTHING,
            in_channels,
            feat_channels=channels,
            anchor_generator=anchor_generator,
            bbox_coder=bbox_coder,
            loss_cls=loss_cls or {"type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25},
            loss_bbox=loss_bbox or {"type": "GIoULoss", "loss_weight": 2.0},
            loss_centerness=loss_centerness or {"type": "CrossEntropyLoss", "use_sigmoid": True},
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        self.deep = deep
        self.inclusive = str(bbox_coder["type"]).endswith("ForGLIP")
        by_fusion = {"text_dim": text_width, "dim": 2048, "scale_init": 1 / blocks, **(fuse or {})} if deep else None
        by_text = {"width": text_width, "heads": 12, **(text_layer or {})}
        self.tower = nn.ModuleList(
            Block(in_channels if i == 0 else channels, channels, offsets, by_fusion, by_text) for i in range(blocks)
        )
        self.bbox_pred, self.centerness = nn.Conv2d(channels, 4, 1), nn.Conv2d(channels, 1, 1)
        for part in (self.bbox_pred, self.centerness):
            nn.init.normal_(part.weight, std=0.01)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        self.scales = nn.Parameter(torch.ones(len(self.prior_generator.strides)))
        self.project_text = nn.Linear(text_width, channels)
        self.log_scale = nn.Parameter(torch.zeros(1))
        self.bias_text = nn.Parameter(torch.zeros(text_width))
        self.bias = nn.Parameter(torch.tensor([-math.log(99)]))

    def _init_layers(self) -> None:
        """None of ATSS's own."""

    def init_weights(self) -> None:
        """Done above."""

    # ---- forward ----------------------------------------------------------------------------------------------------

    def see(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The tower's levels of a shallow head, which no text changes: once an image, whatever is asked."""
        found = list(levels)
        for block in self.tower:
            found, _ = block(found, None)
        return found

    def forward(self, levels: Sequence[Tensor], text: PromptTokens) -> Answers:
        """Levels (B, C, h, w), as the neck gives them for a deep head and `see` for a shallow one, and B prompts, or 1
        for all."""
        found = list(levels)
        if self.deep:
            text = text._replace(
                features=text.features.expand(len(found[0]), -1, -1), mask=text.mask.expand(len(found[0]), -1)
            )
            for block in self.tower:
                found, text = block(found, text)
        deltas = [scale * self.bbox_pred(level).float() for scale, level in zip(self.scales, found)]
        centerness = flatten([self.centerness(level).float() for level in found])[..., 0]
        return Answers(self.token_logits(flatten(found), text.features), flatten(deltas), centerness)

    def token_logits(self, places: Tensor, features: Tensor) -> Tensor:
        """Places (B, N, C) and tokens (B or 1, L, W) -> (B, N, L): `S = V (W e / 2 + b)^T / exp(s) + e . b_t + b_0`
        with unit tokens e (eq. 3 and the release)."""
        with torch.autocast(places.device.type, enabled=False):
            places, unit = places.float(), F.normalize(features.float(), dim=-1)
            keys = self.project_text(unit / 2)
            by_token = unit @ self.bias_text + self.bias
            logits = places @ keys.transpose(1, 2) / self.log_scale.exp() + by_token[:, None]
        return logits.clamp(-LARGEST, LARGEST)

    # ---- training ---------------------------------------------------------------------------------------------------

    def loss(  # type: ignore[override]
        self, levels: Sequence[Tensor], text: PromptTokens, samples: list, positives: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Focal loss over the tokens, GIoU weighted by centerness, binary cross-entropy of centerness.

        Args:
            levels: of the neck.
            text: B prompts.
            samples: mmdet's, with `gt_instances.bboxes`.
            positives: of each image (n, L) bool: the tokens that name its objects.
        """
        sizes = [tuple(level.shape[-2:]) for level in levels]
        out = self(levels if self.deep else self.see(levels), text)
        metas = [sample.metainfo for sample in samples]
        truth = [sample.gt_instances[:] for sample in samples]
        for instances in truth:
            instances.labels = torch.arange(len(instances), device=out.logits.device)
        anchors, flags = self.get_anchors(sizes, metas, device=out.logits.device)
        shift = out.logits.new_tensor([0.0, 0.0, 1.0, 1.0]) * self.inclusive
        anchors = [[level - shift for level in image] for image in anchors]
        for instances in truth:
            instances.bboxes = instances.bboxes - shift
        found = self.get_targets(anchors, flags, truth, metas)
        # A list a level of (B, n, …); the boxes' weights are not used.
        priors, objects, weights, boxes = (torch.cat(part, 1) for part in found[:4])
        count = reduce_mean(out.logits.new_tensor(float(found[5]))).clamp(min=1).item()
        targets = out.logits.new_zeros(out.logits.shape)
        for target, owner, tokens in zip(targets, objects, positives):
            on = owner < NOTHING
            target[on] = tokens[owner[on]].to(target)
        read = text.mask[:, None].expand_as(targets)
        losses = {
            "loss_cls": self.loss_cls(
                out.logits[read], targets[read], weights[..., None].expand_as(targets)[read], avg_factor=count
            )
        }
        on = objects < NOTHING
        if not on.any():
            return losses | {"loss_bbox": out.deltas.sum() * 0, "loss_centerness": out.centerness.sum() * 0}
        centred = self.centerness_target(priors[on], boxes[on])
        decoded = self.bbox_coder.decode(priors[on] + shift, out.deltas[on])
        total = reduce_mean(centred.sum()).clamp(min=1)
        losses["loss_bbox"] = self.loss_bbox(decoded, boxes[on], weight=centred, avg_factor=1.0) / total
        losses["loss_centerness"] = self.loss_centerness(out.centerness[on], centred, avg_factor=count)
        return losses

    def centerness_target(self, anchors: Tensor, gts: Tensor) -> Tensor:
        """`sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))` of the centres of (n, 4) anchors in their boxes; 0 for
        a box without area, of which mmdet's says NaN."""
        centre = (anchors[:, :2] + anchors[:, 2:]) / 2
        before, after = centre - gts[:, :2], gts[:, 2:] - centre
        ratio = torch.minimum(before, after) / torch.maximum(before, after).clamp(min=1e-6)
        return ratio.clamp(min=0).prod(1).sqrt()

    # ---- prediction -------------------------------------------------------------------------------------------------

    def boxes_of(self, out: Answers, sizes: Sequence[tuple[int, int]], metas: Sequence[dict]) -> Tensor:
        """(B, N, 4) x1 y1 x2 y2 in pixels of each input image, cut to it."""
        device = out.deltas.device
        priors = torch.cat(self.prior_generator.grid_priors(sizes, dtype=torch.float32, device=device))
        boxes = [
            self.bbox_coder.decode(priors, deltas.float(), max_shape=meta["img_shape"][:2])
            for deltas, meta in zip(out.deltas, metas)
        ]
        return torch.stack(boxes) + priors.new_tensor([0.0, 0.0, 1.0, 1.0]) * self.inclusive


def flatten(levels: Sequence[Tensor]) -> Tensor:
    """Levels (B, C, h, w) -> (B, N, C), one after the other, row by row."""
    return torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1)


def phrase_scores(logits: Tensor, centerness: Tensor, phrases: Tensor) -> tuple[Tensor, Tensor]:
    """(N, L) logits and (N,) centerness of an image, and its phrases' tokens (P, L) bool -> (N, P): the mean over a
    phrase's tokens of their sigmoid; and the root of it times the centerness, which is the score."""
    weight = phrases.to(logits.dtype)
    mean = logits.sigmoid() @ weight.T / weight.sum(1).clamp(min=1)
    return mean, (mean * centerness.sigmoid()[:, None]).sqrt()
