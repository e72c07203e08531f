"""The picture at the end of a run: image, ground truth, prediction, and a legend."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from PIL import Image

from clipkit.data import colour_map, enlarge, grid, overlay, palette, used_entries, with_legend
from clipkit.data.draw import save_picture
from clipkit.engine.registry import HOOKS


@torch.no_grad()
def predict_samples(model: torch.nn.Module, dataset: Any, indices: Sequence[int]) -> list[tuple[np.ndarray, Any]]:
    """(RGB image, sample with `pred_sem_seg`) for items of a data set, through the model's own `test_step`.

    Images are taken from the pipeline's output, which holds mmcv's BGR.
    """
    was_training = model.training
    model.eval()
    out = []
    for index in indices:
        item = dataset[index]
        image = item["inputs"].flip(0).permute(1, 2, 0).byte().numpy()
        out.append((image, model.test_step(pseudo_collate([item]))[0]))  # type: ignore[operator]
    model.train(was_training)
    return out


@HOOKS.register_module()
class SegPictureHook(Hook):
    """Writes `image | ground truth | prediction` for a few evaluation items after training and after testing.

    Args:
        count: items, taken evenly from the data set.
        filename: in the work directory.
        height: cells are enlarged to about this many pixels.
    """

    priority = "VERY_LOW"

    def __init__(self, count: int = 6, filename: str = "predictions.png", height: int = 192):
        self.count, self.filename, self.height = count, filename, height

    def after_train(self, runner: Any) -> None:
        """Pictures of the validation set."""
        if runner.val_loop is not None:
            self._write(runner, runner.val_loop.dataloader.dataset)

    def after_test(self, runner: Any) -> None:
        """Pictures of the test set."""
        self._write(runner, runner.test_loop.dataloader.dataset)

    @master_only
    def _write(self, runner: Any, dataset: Any) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        step = max(1, len(dataset) // self.count)
        results = predict_samples(model, dataset, range(0, min(len(dataset), step * self.count), step))
        path = Path(runner.work_dir) / self.filename
        save_picture(Image.fromarray(self.draw(results, dataset.metainfo)), path)
        runner.logger.info(f"picture: {path}")

    def draw(self, results: Sequence[tuple[np.ndarray, Any]], metainfo: dict) -> np.ndarray:
        """The grid as (H, W, 3) uint8. Truth and prediction share colours wherever they share names."""
        classes = list(metainfo["classes"])
        seen = metainfo.get("seen") or [True] * len(classes)
        names = [name if is_seen else f"{name} (unseen)" for name, is_seen in zip(classes, seen)]
        labels = list(results[0][1].metainfo.get("label_names") or classes)
        # Labels that the data set lacks (distractors) come after its classes, with colours of their own.
        names += [name for name in labels if name not in classes]
        place = {name: i for i, name in enumerate([*classes, *names[len(classes) :]])}
        to_shared = np.array([place[name] for name in labels])
        colours = palette(len(names))
        rows, maps = [], []
        for image, sample in results:
            prediction = to_shared[sample.pred_sem_seg.data[0].cpu().numpy()]
            cells = [image, np.zeros_like(image), overlay(_fit(image, prediction), prediction, colours, 0.75)]
            maps.append(prediction)
            if "gt_sem_seg" in sample:
                truth = sample.gt_sem_seg.data[0].cpu().numpy()
                cells[1] = colour_map(truth, colours)
                maps.append(truth)
            rows.append([enlarge(cell, self.height) for cell in cells])
        half = (len(rows) + 1) // 2
        if len(rows) >= 4:  # two items a row, so that the picture is wide instead of long
            rows = [left + right for left, right in zip(rows[:half], [*rows[half:], []])]
        titles = ["image", "ground truth", "prediction"] * (2 if len(results) >= 4 else 1)
        return with_legend(grid(rows, titles), used_entries(maps, names, colours))


def _fit(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The image at the size of the label map (predictions come at the original size, inputs may be resized)."""
    if image.shape[:2] == labels.shape:
        return image
    return np.asarray(Image.fromarray(image).resize((labels.shape[1], labels.shape[0]), Image.Resampling.BILINEAR))
