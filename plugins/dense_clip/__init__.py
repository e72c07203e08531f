"""Training-free segmentation by the dense maps of a frozen CLIP: MaskCLIP, SCLIP, ClearCLIP, NACLIP."""

from clipkit_plugins.dense_clip.model import DenseCLIP

import clipkit.segmentation.folder_dataset
import clipkit.segmentation.metrics
import clipkit.segmentation.picture
import clipkit.segmentation.public_datasets
import clipkit.segmentation.shapes_dataset  # noqa: F401

__all__ = ["DenseCLIP"]
