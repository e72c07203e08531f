"""Dense inference in plain PyTorch: whole images and sliding windows."""

from ._sliding import sliding_window, whole_image, window_starts

__all__ = ["sliding_window", "whole_image", "window_starts"]
