"""DepthCLIP: depth from words such as "close" and "far" (Zhang et al., ACM MM 2022, arXiv:2207.01077)."""

from clipkit_plugins.depthclip.dataset import PhotoDepths, SceneDepths
from clipkit_plugins.depthclip.metric import DepthErrors
from clipkit_plugins.depthclip.model import DepthCLIP

import clipkit.video  # noqa: F401

__all__ = ["DepthCLIP", "DepthErrors", "PhotoDepths", "SceneDepths"]
