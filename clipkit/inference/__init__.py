"""Dense inference in plain PyTorch: whole images, sliding windows, scales and mirroring, and any number of labels."""

from ._multi_scale import multi_scale
from ._placed import Placed, embed_views, multi_scale_views, resample, window_views
from ._sliding import sliding_window, whole_image, window_starts
from ._streaming import Classification, classify_placed, classify_stream

__all__ = [
    "Classification",
    "Placed",
    "classify_placed",
    "classify_stream",
    "embed_views",
    "multi_scale",
    "multi_scale_views",
    "resample",
    "sliding_window",
    "whole_image",
    "window_starts",
    "window_views",
]
