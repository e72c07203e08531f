"""ViLD: open-vocabulary detection by vision and language distillation (Gu et al., ICLR 2022, arXiv:2104.13921)."""

from clipkit_plugins.vild.classifier import ViLDClassifier
from clipkit_plugins.vild.heads import ViLDBBoxHead, ViLDRoIHead, WideRoIExtractor
from clipkit_plugins.vild.model import ViLD

import clipkit.detection  # noqa: F401

__all__ = ["ViLD", "ViLDBBoxHead", "ViLDClassifier", "ViLDRoIHead", "WideRoIExtractor"]
