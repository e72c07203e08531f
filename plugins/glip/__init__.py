"""GLIP: a phrase in, its boxes out (Li et al., "Grounded Language-Image Pre-training", CVPR 2022, arXiv:2112.03857)."""

from clipkit_plugins.glip.convert import convert
from clipkit_plugins.glip.head import GLIPHead
from clipkit_plugins.glip.model import GLIP
from clipkit_plugins.glip.text import BertPrompts, ClipPrompts

import clipkit.detection  # noqa: F401

__all__ = ["GLIP", "BertPrompts", "ClipPrompts", "GLIPHead", "convert"]
