"""CLIP4Clip: text-video retrieval (Luo et al. 2021, arXiv:2104.08860)."""

from clipkit_plugins.clip4clip.convert import convert
from clipkit_plugins.clip4clip.model import CLIP4Clip

import clipkit.video  # noqa: F401

__all__ = ["CLIP4Clip", "convert"]
