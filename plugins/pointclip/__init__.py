"""PointCLIP: clouds of points named by a CLIP that saw pictures (Zhang et al., CVPR 2022, arXiv:2112.02413)."""

from clipkit_plugins.pointclip.convert import convert
from clipkit_plugins.pointclip.dataset import CloudViews, ShapesClouds
from clipkit_plugins.pointclip.metric import CloudAccuracy, CloudClassesHook
from clipkit_plugins.pointclip.model import PointCLIP

import clipkit.video  # noqa: F401

__all__ = ["CloudAccuracy", "CloudClassesHook", "CloudViews", "PointCLIP", "ShapesClouds", "convert"]
