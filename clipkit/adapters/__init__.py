"""Adapters: fusion, distillation, contrastive objectives and temporal pooling as plain PyTorch objects."""

from ._crops import crop_boxes, scale_boxes
from .contrastive import ContrastiveLoss, LogitScale
from .distillation import CosineDistillLoss, L1DistillLoss, RelationalDistillLoss, SimilarityKLLoss
from .fusion import Fusion
from .multi_positive import MultiPositiveLoss
from .pooling import pool_boxes, pool_masks
from .sigmoid import SigmoidLoss
from .teacher import CLIPTeacher
from .temporal import MeanPool, SeqLSTM, SeqTransformer
from .temporal_head import temporal_head
from .temporal_text import QueryScoring, WeightedTokenInteraction
from .temporal_tight import TightTransformer

__all__ = [
    "CLIPTeacher",
    "ContrastiveLoss",
    "CosineDistillLoss",
    "Fusion",
    "L1DistillLoss",
    "LogitScale",
    "MeanPool",
    "MultiPositiveLoss",
    "QueryScoring",
    "RelationalDistillLoss",
    "SeqLSTM",
    "SeqTransformer",
    "SigmoidLoss",
    "SimilarityKLLoss",
    "TightTransformer",
    "WeightedTokenInteraction",
    "crop_boxes",
    "pool_boxes",
    "pool_masks",
    "scale_boxes",
    "temporal_head",
]
