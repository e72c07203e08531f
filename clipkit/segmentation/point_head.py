"""mmseg's linear classifier, trained on the same drawn pixels as LSeg: the closed baseline of its claims."""

from mmseg.models.decode_heads import FCNHead
from torch import Tensor

from clipkit.engine.registry import MODELS
from clipkit.nn import draw_points


@MODELS.register_module()
class PointFCNHead(FCNHead):
    """`FCNHead` whose losses see pixels drawn by `clipkit.nn.draw_points` instead of the full-size logits.

    Args:
        points, points_balance: as LSeg's.
        **kwargs: of mmseg's `FCNHead`, without `sampler`.
    """

    def __init__(self, points: int, points_balance: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        if self.sampler is not None:
            raise ValueError("PointFCNHead draws its own pixels: leave sampler= out")
        self.points, self.points_balance = points, points_balance

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """`seg_logits` (B, K, h, w) -> the configured losses on `points` pixels an image."""
        target = self._stack_batch_gt(batch_data_samples)[:, 0]
        logits, ids = draw_points(
            seg_logits,
            target,
            self.points,
            self.points_balance,
            self.ignore_index,
            normalize=False,
            align_corners=self.align_corners,
        )
        losses: dict[str, Tensor] = {}
        for loss in self.loss_decode if hasattr(self.loss_decode, "__iter__") else [self.loss_decode]:
            value = loss(logits, ids, ignore_index=self.ignore_index)
            losses[loss.loss_name] = losses.get(loss.loss_name, 0) + value  # as mmseg: equal names are summed
        return losses
