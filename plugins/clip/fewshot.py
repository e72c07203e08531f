"""The few-shot curve: methods over numbers of labelled examples a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from clipkit_plugins.clip.methods import COOP_OPTIONS, METHODS, FewShotTask
from clipkit_plugins.clip.views import CroppedView
from prettytable import PrettyTable
from torch import Tensor

from clipkit.classification.image_sets import build_images
from clipkit.classification.loops import FeatureLoop
from clipkit.classification.pictures import curve_picture
from clipkit.data.shots import draw_shots
from clipkit.engine.registry import LOOPS
from clipkit.errors import ClipkitError, did_you_mean
from clipkit.evaluation.classification import classification_scores
from clipkit.files import writing


@LOOPS.register_module()
class FewShotLoop(FeatureLoop):
    """Zero-shot, linear probe, CoOp, CLIP-Adapter, Tip-Adapter and Tip-Adapter-F at a few labelled examples a class, on
    cached features; a table, and the curve as `fewshot.png`.

    For each seed, shots and validation examples (as many as shots, at most 4 a class) are drawn from `train`;
    everything that is chosen is chosen on those. Prompts are the model's last ensemble.

    Args:
        train: the pool that shots are drawn from, a config of an image set.
        shots: examples a class.
        methods: names, see `methods.METHODS`; default all.
        seeds: draws; the table has their mean.
        views: random crops of each shot, beside itself (Tip-Adapter takes ten); `mirror` allows mirrored ones.
        coop: options of CoOp, see `methods.coop`.
        **kwargs: see `FeatureLoop`.
    """

    def __init__(
        self,
        *args: Any,
        train: dict,
        shots: Sequence[int] = (1, 2, 4, 8, 16),
        methods: Sequence[str] = tuple(METHODS),
        seeds: Sequence[int] = (0,),
        views: int = 0,
        mirror: bool = True,
        coop: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if unknown := [name for name in methods if name not in METHODS]:
            raise ClipkitError(f'few-shot: no method "{unknown[0]}"; {did_you_mean(unknown[0], METHODS)}')
        if unknown := [name for name in coop or {} if name not in COOP_OPTIONS]:
            raise ClipkitError(f'few-shot: CoOp has no option "{unknown[0]}"; {did_you_mean(unknown[0], COOP_OPTIONS)}')
        self.train_set = build_images(train)
        self.shots, self.methods, self.seeds = list(shots), list(methods), list(seeds)
        self.views, self.mirror, self.coop = views, mirror, dict(coop or {})

    def measure(self) -> dict[str, float]:
        names = list(self.images.names)
        self.require_same_classes(training=self.train_set)
        ensemble, templates = list(self.model.ensembles.items())[-1]
        device = self.model.clip.device
        rows = self.model.classifier(names, templates).to(device)
        test, labels = self.features(self.images).embedding.to(device), torch.from_numpy(self.images.labels)
        curves: dict[str, dict[int, list[float]]] = {name: {k: [] for k in self.shots} for name in self.methods}
        drawn = {(seed, count): self._draw(count, seed) for seed in self.seeds for count in self.shots}
        for seed in self.seeds:
            for count in self.shots:
                task = self._task(rows, count, seed, *drawn[seed, count])
                for name in self.methods:
                    fitted = METHODS[name](task)
                    guesses = fitted.logits(test).topk(min(5, len(names)), dim=1).indices.cpu()
                    scores = classification_scores(guesses, labels, len(names))
                    curves[name][count].append(scores.top1)
                    about = {"method": name, "shots": count, "seed": seed, "chosen": fitted.chosen, "views": self.views}
                    found = {"top1": scores.top1, "mean_per_class": scores.mean_per_class}
                    prompts = f"{ensemble} ({len(templates)})"
                    self.note("few-shot", found, **about, templates=prompts, classes=len(names), images=len(labels))
        means = {name: {k: mean(values) for k, values in curve.items()} for name, curve in curves.items()}
        self._show(means)
        return {f"{name}/{k}": value for name, curve in means.items() for k, value in curve.items()}

    def _draw(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        try:
            return draw_shots(self.train_set.labels, count, seed)
        except ValueError:
            classes, sizes = np.unique(self.train_set.labels, return_counts=True)
            name, least = self.train_set.names[classes[sizes.argmin()]], int(sizes.min())
            most = max((k for k in range(1, least + 1) if k + min(k, 4) <= least), default=0)
            raise ClipkitError(
                f'few-shot: class "{name}" has {least} training images, and {count} shots with {min(count, 4)} for '
                f"validation need {count + min(count, 4)}: set test_cfg.shots to numbers up to {most}"
            ) from None

    def _task(self, rows: Tensor, count: int, seed: int, chosen: np.ndarray, held: np.ndarray) -> FewShotTask:
        device = rows.device
        shots, val = self.train_set.take(chosen), self.train_set.take(held)
        sets = [shots, *(CroppedView(shots, number, self.mirror) for number in range(1, self.views + 1))]
        stack = torch.stack([self.features(images).embedding for images in sets]).to(device)
        labels, val_labels = (torch.from_numpy(images.labels).to(device) for images in (shots, val))
        held_out = self.features(val).embedding.to(device)
        names = list(self.images.names)
        clip = self.model.clip
        return FewShotTask(clip, names, rows, stack, labels, held_out, val_labels, count, seed, self.coop)

    def _show(self, means: dict[str, dict[int, float]]) -> None:
        table = PrettyTable(["top-1 %", *(f"{k} shots" for k in self.shots)], align="l")
        for name, curve in means.items():
            table.add_row([name, *(f"{value:.1f}" for value in curve.values())])
        self.say(f"mean over {len(self.seeds)} draws\n{table.get_string()}")
        if self.runner.rank == 0:  # type: ignore[attr-defined]
            path = Path(self.runner.work_dir) / "fewshot.png"
            level = {"zero-shot": mean(means["zero-shot"].values())} if "zero-shot" in means else {}
            lines = {name: curve for name, curve in means.items() if name != "zero-shot"}
            picture = curve_picture(lines, across="labelled examples a class", up="top-1 (%)", level=level)
            with writing(path) as partial:
                picture.savefig(partial, format="png")
            self.say(f"picture: {path}")
