"""Scores of few-shot segmentation: mIoU over the tested classes, and FB-IoU."""

from collections.abc import Sequence

from torch import Tensor

from .segmentation import iou_per_class


def fewshot_scores(class_ids: Tensor, intersection: Tensor, union: Tensor, tested: Sequence[int]) -> dict[str, Tensor]:
    """mIoU = mean over classes c of I_c / U_c, with I_c, U_c the foreground's sums over all episodes of c;
    FB-IoU = (I_f / U_f + I_b / U_b) / 2, foreground and background summed over all episodes of all classes
    (as HSNet evaluates, Min et al., ICCV 2021; FB-IoU by Rakelly et al., ICLR workshop 2018).

    A class without an episode is left out of the mean (HSNet's evaluator counts it as 0; the protocols have none).

    Args:
        class_ids: (E,) class of each episode; one outside `tested` is an error.
        intersection, union: (E, 2) of `intersection_and_union` with two classes, 0 = others, 1 = the episode's class.
        tested: ids of the fold's classes.

    Returns:
        `mIoU` and `FB-IoU` in percent, () float64; `iou` (len(tested),) percent, NaN without an episode.
    """
    places = {class_id: k for k, class_id in enumerate(tested)}
    unknown = set(class_ids.tolist()).difference(places)
    if unknown:
        raise ValueError(f"episodes of class {min(unknown)}, which is not tested; tested: {sorted(places)}")
    rows = class_ids.new_tensor([places[int(c)] for c in class_ids])
    hits, either = (counts.new_zeros(len(places), 2).index_add_(0, rows, counts) for counts in (intersection, union))
    iou = iou_per_class(hits[:, 1], either[:, 1])
    return {
        "mIoU": iou.nanmean(),
        "FB-IoU": iou_per_class(hits.sum(0), either.sum(0)).nanmean(),
        "iou": iou,
    }
