"""Segmentation scores as plain functions on label maps."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def intersection_and_union(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255
) -> tuple[Tensor, Tensor]:
    """Pixels where both maps say the class, and where at least one does.

    A prediction outside 0..`num_classes`-1 (a distractor label) is an error for the target's class and enlarges no
    other class's union. Pixels whose target is `ignore_index` count nowhere.

    Args:
        prediction: class ids, any shape, integer.
        target: class ids, same shape; each is `ignore_index` or in 0..`num_classes`-1.

    Returns:
        intersection and union, each (num_classes,) int64.

    Raises:
        ValueError: when shapes differ, or the target holds an id that is neither a class nor ignored.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape")
    valid = target != ignore_index
    prediction, target = prediction[valid].long(), target[valid].long()
    if target.numel() and (int(target.min()) < 0 or int(target.max()) >= num_classes):
        bad = int(target.max()) if int(target.max()) >= num_classes else int(target.min())
        raise ValueError(f"target holds class id {bad}; allowed: 0..{num_classes - 1} and {ignore_index} (ignored)")
    known = (prediction >= 0) & (prediction < num_classes)
    hits = torch.bincount(target[prediction == target], minlength=num_classes)
    union = (
        torch.bincount(target, minlength=num_classes) + torch.bincount(prediction[known], minlength=num_classes) - hits
    )
    return hits, union


def iou_per_class(intersection: Tensor, union: Tensor) -> Tensor:
    """IoU_c = intersection_c / union_c in percent, (num_classes,) float64; NaN where neither map has the class."""
    return 100.0 * intersection.double() / union.double().where(union > 0, torch.nan)


def mean_iou(intersection: Tensor, union: Tensor) -> float:
    """mIoU = mean of IoU_c over the classes that occur, in percent; NaN when none does."""
    return float(iou_per_class(intersection, union).nanmean())


def harmonic_mean(a: float, b: float) -> float:
    """2ab / (a + b); 0 when both are 0."""
    return 0.0 if a + b == 0 else 2 * a * b / (a + b)


def seen_unseen_iou(iou: Tensor, seen: Sequence[bool] | Tensor) -> dict[str, float]:
    """Means over seen and over unseen classes, and their harmonic mean (generalised zero-shot segmentation, Xian et
    al., CVPR 2019, section 4): all classes compete at test time, the means are only reported apart.

    Args:
        iou: (N,) percent, NaN for a class that does not count.
        seen: (N,) True where the class was in the training images.

    Returns:
        `seen`, `unseen`, `harmonic_mean` and `all` in percent; a mean over no class is NaN.
    """
    mask = torch.as_tensor(seen, dtype=torch.bool)
    if mask.shape != iou.shape:
        raise ValueError(f"seen has {tuple(mask.shape)} entries for {tuple(iou.shape)} classes")
    seen_mean, unseen_mean = float(iou[mask].nanmean()), float(iou[~mask].nanmean())
    return {
        "seen": seen_mean,
        "unseen": unseen_mean,
        "harmonic_mean": harmonic_mean(seen_mean, unseen_mean),
        "all": float(iou.nanmean()),
    }


def map_labels(prediction: Tensor, to_class: Sequence[int], num_classes: int) -> Tensor:
    """Label indices -> class ids; `to_class[i]` < 0 (a distractor) becomes `num_classes`, which is no class."""
    table = torch.as_tensor(np.asarray(to_class, dtype=np.int64), device=prediction.device)
    return table.where(table >= 0, torch.tensor(num_classes, device=table.device))[prediction.long()]


def ignore_left_out(target: Tensor, to_class: Sequence[int], num_classes: int, ignore_index: int = 255) -> Tensor:
    """The target with `ignore_index` where the class has no label in `to_class`: what cannot be said is not scored.

    Ids that are no class stay, so that `intersection_and_union` still names a wrong label map.
    """
    said = torch.zeros(num_classes, dtype=torch.bool, device=target.device)
    said[[class_id for class_id in to_class if class_id >= 0]] = True
    target = target.long()
    is_class = (target >= 0) & (target < num_classes)
    left_out = is_class & ~said[target.clamp(0, num_classes - 1)]
    return target.masked_fill(left_out, ignore_index)
