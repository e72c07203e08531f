"""GroupViT: segmentation from captions alone (Xu et al., CVPR 2022, arXiv:2202.11094)."""

from clipkit_plugins.groupvit.classification import GroupZeroShotLoop
from clipkit_plugins.groupvit.convert import convert
from clipkit_plugins.groupvit.dataset import CaptionedScenes
from clipkit_plugins.groupvit.kmeans import KMeansCLIP, KMeansEncoder
from clipkit_plugins.groupvit.metric import GroupIoU
from clipkit_plugins.groupvit.model import GroupViT
from clipkit_plugins.groupvit.phrases import PickPhrases
from clipkit_plugins.groupvit.shards import CaptionShards, TimmAugment
from clipkit_plugins.groupvit.tokens import FrozenTokens, PatchTokens, StemTokens

import clipkit.segmentation  # noqa: F401

__all__ = [
    "CaptionShards",
    "CaptionedScenes",
    "FrozenTokens",
    "GroupIoU",
    "GroupViT",
    "GroupZeroShotLoop",
    "KMeansCLIP",
    "KMeansEncoder",
    "PatchTokens",
    "PickPhrases",
    "StemTokens",
    "TimmAugment",
    "convert",
]
