"""Reading and drawing images and masks: plain functions."""

from .draw import colour_map, enlarge, grid, legend, overlay, save_indexed_png, used_entries, with_legend
from .images import IMAGE_SUFFIXES, MASK_SUFFIXES, list_images, read_image, read_mask
from .pairs import Pairs, pair_folders
from .palette import palette

__all__ = [
    "IMAGE_SUFFIXES",
    "MASK_SUFFIXES",
    "Pairs",
    "colour_map",
    "enlarge",
    "grid",
    "legend",
    "list_images",
    "overlay",
    "pair_folders",
    "palette",
    "read_image",
    "read_mask",
    "save_indexed_png",
    "used_entries",
    "with_legend",
]
