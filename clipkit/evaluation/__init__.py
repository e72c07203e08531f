"""Metrics as plain functions on tensors."""

from clipkit.evaluation.segmentation import (
    harmonic_mean,
    ignore_left_out,
    intersection_and_union,
    iou_per_class,
    map_labels,
    mean_iou,
    seen_unseen_iou,
)
from clipkit.evaluation.zeroshot import accuracy, retrieval

__all__ = [
    "accuracy",
    "harmonic_mean",
    "ignore_left_out",
    "intersection_and_union",
    "iou_per_class",
    "map_labels",
    "mean_iou",
    "retrieval",
    "seen_unseen_iou",
]
