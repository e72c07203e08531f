"""LSeg: language-driven semantic segmentation (Li et al., ICLR 2022, arXiv:2201.03546)."""

from clipkit_plugins.lseg.convert import convert
from clipkit_plugins.lseg.fewshot import EpisodicLSeg
from clipkit_plugins.lseg.model import LSeg
from clipkit_plugins.lseg.towers import FrozenTower
from clipkit_plugins.lseg.tuned import TunedTextLSeg

import clipkit.hosts
import clipkit.segmentation  # noqa: F401
from clipkit.text.class_rows import ClipText, PrecomputedText

__all__ = ["ClipText", "EpisodicLSeg", "FrozenTower", "LSeg", "PrecomputedText", "TunedTextLSeg", "convert"]
