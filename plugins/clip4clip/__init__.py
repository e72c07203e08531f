"""CLIP4Clip: text-video retrieval (Luo et al. 2021, arXiv:2104.08860)."""

from .convert import convert
from .model import CLIP4Clip

__all__ = ["CLIP4Clip", "convert"]
