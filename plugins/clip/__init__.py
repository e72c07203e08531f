"""CLIP itself: zero-shot classification, linear probes, few-shot adapters, retrieval, search for duplicates."""

import clipkit.engine.image_sets  # noqa: F401

from .claim_pretraining import CompositionCurveHook
from .duplicates import DuplicateLoop
from .fewshot import FewShotLoop
from .model import ClipClassifier
from .probe import ProbeLoop
from .retrieval import ImageTextLoop
from .words import WordPredictor
from .zeroshot import ZeroShotLoop

__all__ = [
    "ClipClassifier",
    "CompositionCurveHook",
    "DuplicateLoop",
    "FewShotLoop",
    "ImageTextLoop",
    "ProbeLoop",
    "WordPredictor",
    "ZeroShotLoop",
]
