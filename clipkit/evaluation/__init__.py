"""Metrics as plain functions on tensors."""

from clipkit.evaluation.detection import ClassPrecision, coco_precision, lvis_precision
from clipkit.evaluation.fewshot import fewshot_scores
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
    "ClassPrecision",
    "accuracy",
    "coco_precision",
    "fewshot_scores",
    "harmonic_mean",
    "ignore_left_out",
    "intersection_and_union",
    "iou_per_class",
    "lvis_precision",
    "map_labels",
    "mean_iou",
    "retrieval",
    "seen_unseen_iou",
]
