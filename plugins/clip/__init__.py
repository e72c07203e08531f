"""CLIP itself: zero-shot classification, linear probes, few-shot adapters, retrieval, search for duplicates."""

from clipkit_plugins.clip.claim_pretraining import CompositionCurveHook
from clipkit_plugins.clip.duplicates import DuplicateLoop
from clipkit_plugins.clip.fewshot import FewShotLoop
from clipkit_plugins.clip.pretrain import ContrastivePretrainer, ExportOpenClipHook, ShapesCaptions, ShapesZeroShotLoop
from clipkit_plugins.clip.probe import ProbeLoop
from clipkit_plugins.clip.retrieval import ImageTextLoop
from clipkit_plugins.clip.words import WordPredictor

import clipkit.classification  # noqa: F401
from clipkit.classification.classifier import ClipClassifier
from clipkit.classification.zeroshot import ZeroShotLoop

__all__ = [
    "ClipClassifier",
    "CompositionCurveHook",
    "ContrastivePretrainer",
    "DuplicateLoop",
    "ExportOpenClipHook",
    "FewShotLoop",
    "ImageTextLoop",
    "ProbeLoop",
    "ShapesCaptions",
    "ShapesZeroShotLoop",
    "WordPredictor",
    "ZeroShotLoop",
]
