"""What segments are worth beside their names."""

from collections.abc import Sequence

import torch
from mmengine.logging import MMLogger, print_log
from torch import Tensor

from clipkit.engine.registry import METRICS
from clipkit.evaluation.segmentation import iou_per_class, map_labels
from clipkit.segmentation.metrics import SeenUnseenIoU

COLLAPSED = 1.5


@METRICS.register_module()
class GroupIoU(SeenUnseenIoU):
    """`SeenUnseenIoU`, and of models that give `pred_groups`, the group of each pixel:

    - `oracle`: mIoU, %, where each group of each image has the class of most of its pixels: what segments could reach
      with the best names;
    - `found`: of the classes that images show, how many were predicted there, %; `precision`: of the classes predicted
      in an image, how many it shows, %;
    - `groups`: groups that win a pixel, the mean over images. Under 1.5 the log has one line that says so.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Adds a batch to `self.results`, each image's as tensors of one length."""
        before = len(self.results)
        super().process(data_batch, data_samples)
        count = len(self.dataset_meta["classes"])
        for i, sample in enumerate(data_samples, start=before):
            if "pred_groups" not in sample:
                continue
            target = sample["gt_sem_seg"]["data"].squeeze(0)
            groups = sample["pred_groups"]["data"].squeeze(0).to(target.device)
            if groups.shape != target.shape:
                sizes = [torch.arange(n, device=target.device) * m // n for n, m in zip(target.shape, groups.shape)]
                groups = groups[sizes[0][:, None], sizes[1]]
            oracle = best_names(groups, target, count, self.ignore_index)
            hits, union, _, _ = self.intersect_and_union(oracle, target, count, self.ignore_index)
            prediction = sample["pred_sem_seg"]["data"].squeeze(0).to(target.device)
            if self._to_class is not None:
                prediction = map_labels(prediction, self._to_class, count)
            valid = target != self.ignore_index
            shown, said = (_classes(ids[valid], count) for ids in (target, prediction))
            of_image = torch.tensor([(shown & said).sum(), shown.sum(), said.sum(), groups.unique().numel()])
            self.results[i] = (*self.results[i], hits, union, of_image)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Those of `SeenUnseenIoU`, and what is said above."""
        out = super().compute_metrics([result[:4] for result in results])
        if any(len(result) == 4 for result in results):
            return out
        label_area, hits, union = (torch.stack([result[i] for result in results]).double().sum(0) for i in (3, 4, 5))
        iou = iou_per_class(hits, union)
        both, shown, said, groups = torch.stack([result[6] for result in results]).double().mean(0).tolist()
        out |= {
            "oracle": float(iou[label_area > 0].mean()),
            "found": 100 * both / max(shown, 1e-9),
            "precision": 100 * both / max(said, 1e-9),
            "groups": groups,
        }
        if groups < COLLAPSED:
            print_log(
                f"the groups have collapsed: {groups:.1f} a picture win any pixel; try encoder.cosine=True, "
                "encoder.init='unit' or losses.groups=1",
                MMLogger.get_current_instance(),
                30,
            )
        return {key: round(value, 2) for key, value in out.items()}


def best_names(groups: Tensor, target: Tensor, count: int, ignore: int) -> Tensor:
    """Each group's pixels (H, W) get the class that most of them have in `target`; 0 where all are ignored."""
    valid = target != ignore
    table = torch.zeros(int(groups.max()) + 1, count, device=target.device)
    ones = torch.ones(int(valid.sum()), device=target.device)
    table.index_put_((groups[valid], target[valid].long()), ones, accumulate=True)
    return table.argmax(1)[groups]


def _classes(ids: Tensor, count: int) -> Tensor:
    """(count,) bool: which ids there are; those of no class (-1 or beyond) make one more, that is never shown."""
    present = torch.zeros(count + 1, dtype=torch.bool)
    present[ids.long().clamp(-1, count).where((ids >= 0) & (ids < count), count).unique().cpu()] = True
    return present
