"""Metrics as plain functions on tensors."""

from clipkit.evaluation.detection import ClassPrecision, coco_precision, lvis_precision
from clipkit.evaluation.fewshot import fewshot_scores
from clipkit.evaluation.retrieval import Ranks, RetrievalRanks, retrieval_ranks
from clipkit.evaluation.segmentation import (
    harmonic_mean,
    ignore_left_out,
    intersection_and_union,
    iou_per_class,
    map_labels,
    mean_iou,
    seen_unseen_iou,
)
from clipkit.evaluation.video_retrieval import retrieve
from clipkit.evaluation.zeroshot import accuracy

__all__ = [
    "ClassPrecision",
    "Ranks",
    "RetrievalRanks",
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
    "retrieval_ranks",
    "retrieve",
    "seen_unseen_iou",
]
