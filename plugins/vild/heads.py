"""ViLD's box head and RoI head on mmdet's."""

from collections.abc import Callable, Sequence

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.structures.bbox import bbox2roi
from torch import Tensor, nn

from clipkit.adapters import L1DistillLoss
from clipkit.engine.registry import MODELS

Teach = Callable[[Sequence[Tensor]], Tensor]
"""Boxes an image, in pixels of the batch -> CLIP's embedding of each, (sum n, D)."""


@MODELS.register_module()
class WideRoIExtractor(SingleRoIExtractor):
    """mmdet's extractor in float32, whatever the features are in; what it gives is in their precision again.

    mmdet casts RoIs to the features' type: in bf16 that moves a corner beyond 512 pixels by up to 2 pixels, beyond
    1024 by up to 4.
    """

    def forward(self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Maps (B, C, H, W) and RoIs (n, 5) -> (n, C, h, w)."""
        # Maps too, since mmdet takes its type from them; roi_align would widen them anyway.
        wide = tuple(level.float() for level in feats)
        return super().forward(wide, rois.float(), roi_scale_factor).to(feats[0].dtype)


@MODELS.register_module()
class ViLDBBoxHead(ConvFCBBoxHead):
    """4 convolutions and 2 fully connected layers (in the release), then the projection to CLIP's space; class-agnostic
    boxes. Its `cls_score` is embeddings, and its `loss_cls` a `ViLDClassifier`.

    Args:
        loss_cls: config of the classifier; its `variant` 'ensemble' adds a second branch for the image embedding.
        num_shared_convs, num_shared_fcs: 4 and 2; DetPro has 4 and 1.
        fc_norm: after each fully connected layer: None, or 'BN' and 'SyncBN' as in the release, which needs at least
            two regions a step.
        **kwargs: of mmdet's `ConvFCBBoxHead`.
    """

    def __init__(
        self,
        loss_cls: dict,
        num_shared_convs: int = 4,
        num_shared_fcs: int = 2,
        fc_norm: str | None = None,
        **kwargs,
    ):
        super().__init__(
            num_shared_convs=num_shared_convs,
            num_shared_fcs=num_shared_fcs,
            reg_class_agnostic=True,
            loss_cls=loss_cls,
            **kwargs,
        )
        self.image_projection: nn.Module | None = None
        if self.loss_cls.variant == "ensemble":
            branch = self._add_conv_fc_branch(num_shared_convs, num_shared_fcs, self.in_channels, True)
            self.image_convs, self.image_fcs, width = branch
            self.image_projection = nn.Linear(width, self.loss_cls.embed_dim)
            self.init_cfg = [
                *(self.init_cfg if isinstance(self.init_cfg, list) else [self.init_cfg]),
                dict(type="Xavier", distribution="uniform", override=dict(name="image_fcs")),
                dict(type="Normal", std=0.01, override=dict(name="image_projection")),
            ]
        if fc_norm is not None:
            kind = {"BN": nn.BatchNorm1d, "SyncBN": nn.SyncBatchNorm}[fc_norm]
            # Beside the layers and not inside: mmdet initialises all that is in `shared_fcs` as linear.
            self.shared_norms = nn.ModuleList(kind(layer.out_features) for layer in self.shared_fcs)
            if self.image_projection is not None:
                self.image_norms = nn.ModuleList(kind(layer.out_features) for layer in self.image_fcs)

    def _trunk(self, x: Tensor, branch: str) -> Tensor:
        convs, fcs = getattr(self, f"{branch}_convs"), getattr(self, f"{branch}_fcs")
        norms = getattr(self, f"{branch}_norms", [nn.Identity()] * len(fcs))
        for conv in convs:
            x = conv(x)
        if self.with_avg_pool:
            x = self.avg_pool(x)
        x = x.flatten(1)
        for fc, norm in zip(fcs, norms):
            x = self.relu(norm(fc(x)))
        return x

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled regions (n, C, 7, 7) -> embeddings (n, D), at test time of an ensemble (n, 2D) with the text head's
        first; and box deltas (n, 4)."""
        trunk = self._trunk(x, "shared")
        embedding = self.fc_cls(trunk)
        if self.image_projection is not None and not self.training:
            embedding = torch.cat([embedding, self.embed_image(x)], 1)
        return embedding, self.fc_reg(trunk)

    def embed_image(self, x: Tensor) -> Tensor:
        """Pooled regions (n, C, 7, 7) -> (n, D), the embedding that CLIP's image embedding teaches."""
        if self.image_projection is None:
            return self.fc_cls(self._trunk(x, "shared"))
        return self.image_projection(self._trunk(x, "image"))


@MODELS.register_module()
class ViLDRoIHead(StandardRoIHead):
    """mmdet's RoI head, plus `loss_distill` on regions whose embedding CLIP gave.

    A sample brings them as `teacher_regions` (`clipkit.TeacherRegions` in its pipeline), an InstanceData of `bboxes`
    (n, 4) in pixels of the batch, `embeddings` (n, D) and, where some are padding, `valid` (n,) bool. Where it has
    none, `teach` is asked about the best proposals of the RPN.

    Args:
        distill_weight: w of L = L_text + w L_image; 0 for ViLD-text.
        max_regions: an image, in training.
        **kwargs: of mmdet's `StandardRoIHead`.
    """

    def __init__(self, distill_weight: float = 0.5, max_regions: int = 300, **kwargs):
        super().__init__(**kwargs)
        self.distill = L1DistillLoss(distill_weight)
        self.max_regions = max_regions
        self.teach: Teach | None = None

    def loss(self, x: Sequence[Tensor], rpn_results_list: list, batch_data_samples: list) -> dict[str, Tensor]:
        """mmdet's losses and `loss_distill`."""
        # The parent renames the proposals' boxes, so ours are taken before.
        regions = self._regions(rpn_results_list, batch_data_samples) if self.distill.weight else None
        losses = super().loss(x, rpn_results_list, batch_data_samples)
        if regions is not None:
            losses["loss_distill"] = self.distill_loss(x, *regions)
        return losses

    def _regions(self, proposals: list, samples: list) -> tuple[list[Tensor], Tensor, Tensor]:
        """Boxes an image, and of all together the embeddings (n, D) and which are valid (n,)."""
        if all("teacher_regions" in sample for sample in samples):
            given = [sample.teacher_regions[: self.max_regions] for sample in samples]
            boxes = [item.bboxes for item in given]
            valid = [item.get("valid", item.bboxes.new_ones(len(item), dtype=torch.bool)) for item in given]
            return boxes, torch.cat([item.embeddings for item in given]).float(), torch.cat(valid)
        assert self.teach is not None
        boxes = [item.bboxes.detach()[: self.max_regions] for item in proposals]
        embeddings = self.teach(boxes)
        return boxes, embeddings, torch.ones(len(embeddings), dtype=torch.bool, device=embeddings.device)

    def distill_loss(self, x: Sequence[Tensor], boxes: list[Tensor], embeddings: Tensor, valid: Tensor) -> Tensor:
        """`w * mean over valid regions of |r_i - clip_i|_1` (eq. 3), both of unit length; 0 where none is valid."""
        rois = bbox2roi(boxes)
        # A step without regions still runs the branch: batch norms want rows, and other ranks wait for its gradients.
        missing = max(0, 2 - len(rois))
        rois = torch.cat([rois, rois.new_tensor([[0.0, 0.0, 0.0, 32.0, 32.0]]).expand(missing, -1)])
        embeddings = torch.cat([embeddings, embeddings.new_ones(missing, self.bbox_head.loss_cls.embed_dim)])
        valid = torch.cat([valid, valid.new_zeros(missing)])
        features = self.bbox_roi_extractor(x[: self.bbox_roi_extractor.num_inputs], rois)
        if self.with_shared_head:
            features = self.shared_head(features)
        return self.distill(self.bbox_head.embed_image(features), embeddings, valid)

    def _bbox_forward(self, x: Sequence[Tensor], rois: Tensor) -> dict[str, Tensor]:
        results = super()._bbox_forward(x, rois)
        if self.bbox_head.loss_cls.variant == "crops" and not self.training:
            assert self.teach is not None
            images = range(len(x[0]))
            crops = self.teach([rois[rois[:, 0] == i, 1:] for i in images])  # rois are in the order of the images
            results["cls_score"] = torch.cat([results["cls_score"], crops.to(results["cls_score"])], 1)
        return results
