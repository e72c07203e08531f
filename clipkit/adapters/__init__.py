"""Adapters: fusion, distillation, contrastive objectives, temporal pooling, few-shot adapters as plain PyTorch."""

from ._crops import crop_boxes, scale_boxes
from ._grid import to_whole_patches
from .clip_adapter import ClipAdapter
from .contrastive import ContrastiveLoss, LogitScale
from .distillation import CosineDistillLoss, L1DistillLoss, RelationalDistillLoss, SimilarityKLLoss
from .fusion import Fusion
from .modality import PairsLoss
from .multi_positive import MultiPositiveLoss
from .pair_scores import hard_negatives, pair_contrastive
from .pooling import pool_boxes, pool_masks
from .prompt_learner import PromptLearner
from .sigmoid import SigmoidLoss
from .teacher import CLIPTeacher
from .temporal import MeanPool, SeqLSTM, SeqTransformer, masked_mean
from .temporal_head import temporal_head
from .temporal_text import MaskedMean, QueryScoring, WeightedTokenInteraction
from .temporal_tight import TightTransformer
from .tip_adapter import TipAdapter

__all__ = [
    "CLIPTeacher",
    "ClipAdapter",
    "ContrastiveLoss",
    "CosineDistillLoss",
    "Fusion",
    "L1DistillLoss",
    "LogitScale",
    "MaskedMean",
    "MeanPool",
    "MultiPositiveLoss",
    "PairsLoss",
    "PromptLearner",
    "QueryScoring",
    "RelationalDistillLoss",
    "SeqLSTM",
    "SeqTransformer",
    "SigmoidLoss",
    "SimilarityKLLoss",
    "TightTransformer",
    "TipAdapter",
    "WeightedTokenInteraction",
    "crop_boxes",
    "hard_negatives",
    "masked_mean",
    "pair_contrastive",
    "pool_boxes",
    "pool_masks",
    "scale_boxes",
    "temporal_head",
    "to_whole_patches",
]
