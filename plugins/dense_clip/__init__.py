"""Training-free segmentation by the dense maps of a frozen CLIP: MaskCLIP, SCLIP, ClearCLIP, NACLIP."""

import clipkit.engine.seg_datasets
import clipkit.engine.seg_metrics
import clipkit.engine.seg_picture
import clipkit.engine.seg_public
import clipkit.engine.shapes_dataset  # noqa: F401

from .model import DenseCLIP

__all__ = ["DenseCLIP"]
