"""Adapters: fusion, distillation and contrastive objectives as plain PyTorch objects."""

from ._crops import crop_boxes, scale_boxes
from .contrastive import ContrastiveLoss, LogitScale
from .distillation import CosineDistillLoss, L1DistillLoss, RelationalDistillLoss, SimilarityKLLoss
from .fusion import Fusion
from .multi_positive import MultiPositiveLoss
from .pooling import pool_boxes, pool_masks
from .sigmoid import SigmoidLoss
from .teacher import CLIPTeacher

__all__ = [
    "CLIPTeacher",
    "ContrastiveLoss",
    "CosineDistillLoss",
    "Fusion",
    "L1DistillLoss",
    "LogitScale",
    "MultiPositiveLoss",
    "RelationalDistillLoss",
    "SigmoidLoss",
    "SimilarityKLLoss",
    "crop_boxes",
    "pool_boxes",
    "pool_masks",
    "scale_boxes",
]
