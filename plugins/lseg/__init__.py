"""LSeg: language-driven semantic segmentation (Li et al., ICLR 2022, arXiv:2201.03546)."""

import clipkit.engine.fewshot_datasets
import clipkit.engine.fewshot_metrics
import clipkit.engine.nn_parts
import clipkit.engine.point_head
import clipkit.engine.seg_datasets
import clipkit.engine.seg_metrics
import clipkit.engine.seg_picture
import clipkit.engine.seg_public
import clipkit.engine.shapes_dataset  # noqa: F401
from clipkit.engine.class_text import ClipText, PrecomputedText

from .convert import convert
from .fewshot import EpisodicLSeg
from .model import LSeg
from .towers import FrozenTower
from .tuned import TunedTextLSeg

__all__ = ["ClipText", "EpisodicLSeg", "FrozenTower", "LSeg", "PrecomputedText", "TunedTextLSeg", "convert"]
