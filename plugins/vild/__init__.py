"""ViLD: open-vocabulary detection by vision and language distillation (Gu et al., ICLR 2022, arXiv:2104.13921)."""

from .classifier import ViLDClassifier
from .heads import ViLDBBoxHead, ViLDRoIHead, WideRoIExtractor
from .model import ViLD

__all__ = ["ViLD", "ViLDBBoxHead", "ViLDClassifier", "ViLDRoIHead", "WideRoIExtractor"]
