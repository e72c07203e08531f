"""Metrics as plain functions on tensors."""

from clipkit.evaluation.classification import ClassificationScores, classification_scores, rank_classes
from clipkit.evaluation.depth import depth_errors, rank_correlation
from clipkit.evaluation.detection import ClassPrecision, coco_precision, lvis_fixed_precision, lvis_precision
from clipkit.evaluation.duplicates import Duplicates, Overlap, near_duplicates, overlap
from clipkit.evaluation.fewshot import fewshot_scores
from clipkit.evaluation.film_segmentation import frame_accuracy, segment_film
from clipkit.evaluation.image_text import image_text_ranks
from clipkit.evaluation.linear_probe import (
    LinearProbe,
    Sweep,
    logistic_probe,
    ridge_probes,
    sweep_logistic,
    sweep_ridge,
)
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
    "ClassificationScores",
    "Duplicates",
    "LinearProbe",
    "Overlap",
    "Ranks",
    "RetrievalRanks",
    "Sweep",
    "accuracy",
    "classification_scores",
    "coco_precision",
    "depth_errors",
    "fewshot_scores",
    "frame_accuracy",
    "harmonic_mean",
    "ignore_left_out",
    "image_text_ranks",
    "intersection_and_union",
    "iou_per_class",
    "logistic_probe",
    "lvis_fixed_precision",
    "lvis_precision",
    "map_labels",
    "mean_iou",
    "near_duplicates",
    "overlap",
    "rank_classes",
    "rank_correlation",
    "retrieval_ranks",
    "retrieve",
    "ridge_probes",
    "seen_unseen_iou",
    "segment_film",
    "sweep_logistic",
    "sweep_ridge",
]
