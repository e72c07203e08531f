"""Training-free segmentation by the dense maps of a frozen CLIP: MaskCLIP, SCLIP, ClearCLIP, NACLIP."""

from clipkit_plugins.dense_clip.model import DenseCLIP

import clipkit.segmentation  # noqa: F401

__all__ = ["DenseCLIP"]
