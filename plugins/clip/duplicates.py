"""Does a test set hold pictures that a training set has?"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from clipkit.classification.image_sets import build_images
from clipkit.classification.loops import FeatureLoop
from clipkit.data import grid
from clipkit.data.draw import save_picture
from clipkit.engine.registry import LOOPS
from clipkit.evaluation.classification import rank_classes
from clipkit.evaluation.duplicates import Duplicates, near_duplicates, overlap
from clipkit.files import writing

_SIDE = 128  # pixels of a picture in the sheet


@LOOPS.register_module()
class DuplicateLoop(FeatureLoop):
    """Near-duplicates between the test set and another one, `against`: a table `duplicates.csv`, a sheet of the closest
    pairs `duplicates.png`, and zero-shot accuracy with and without them (Radford et al. 2021, section 5).

    Args:
        against: the other set, a config of an image set.
        cosine, correlation: how alike embeddings and thumbnails must be, see `near_duplicates`.
        shown: pairs on the sheet.
        **kwargs: see `FeatureLoop`.
    """

    def __init__(
        self,
        *args: Any,
        against: dict,
        cosine: float = 0.9,
        correlation: float = 0.9,
        shown: int = 12,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.other = build_images(against)
        self.cosine, self.correlation, self.shown = cosine, correlation, shown

    def measure(self) -> dict[str, float]:
        mine, theirs = self.features(self.images), self.features(self.other)
        thumbnails = mine.thumbnail, theirs.thumbnail
        found = near_duplicates(mine.embedding, theirs.embedding, thumbnails, self.cosine, self.correlation)
        duplicate = torch.zeros(len(mine), dtype=torch.bool)
        duplicate[found.pairs[:, 0]] = True
        ensemble, templates = list(self.model.ensembles.items())[-1]
        rows = self.model.classifier(self.images.names, templates)
        guess = rank_classes(F.normalize(mine.embedding, dim=-1), rows, k=1)[:, 0]
        numbers: dict[str, float] = {"duplicates": float(duplicate.sum())}
        if bool(duplicate.all()):
            self.say("every image has a duplicate: there is no clean part to compare with")
        else:
            report = overlap(guess == torch.from_numpy(self.images.labels), duplicate)
            numbers |= {
                "contamination": report.contamination, "top1": report.all, "clean": report.clean, "dirty": report.dirty,
                "gain": report.gain, "dirty_low": report.interval[0], "dirty_high": report.interval[1], "p": report.p,
            }  # fmt: skip
        self.note(
            "near-duplicates", numbers, cosine=self.cosine, correlation=self.correlation, templates=ensemble,
            images=len(mine), against=len(theirs),
        )  # fmt: skip
        if self.runner.rank == 0:  # type: ignore[attr-defined]
            self._write(found, mine.ids, theirs.ids)
        return {key: value for key, value in numbers.items() if value == value}

    def _write(self, found: Duplicates, mine: list[str], theirs: list[str]) -> None:
        folder = Path(self.runner.work_dir)
        columns = found.pairs.tolist(), found.cosine.tolist(), found.correlation.tolist()
        with (
            writing(folder / "duplicates.csv") as partial,
            open(partial, "w", newline="", encoding="utf-8", errors="surrogateescape") as stream,
        ):
            writer = csv.writer(stream)
            writer.writerow(["test image", "other image", "cosine", "correlation"])
            writer.writerows([mine[a], theirs[b], f"{c:.4f}", f"{r:.4f}"] for (a, b), c, r in zip(*columns))
        self.say(f"pairs: {folder / 'duplicates.csv'}")
        if len(found.pairs):
            rows = [[_cell(self.images.read(a)), _cell(self.other.read(b))] for a, b in columns[0][: self.shown]]
            save_picture(Image.fromarray(grid(rows, ["test set", "other set"])), folder / "duplicates.png")
            self.say(f"picture: {folder / 'duplicates.png'}")


def _cell(pixels: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((_SIDE, _SIDE))
    if max(picture.size) < _SIDE:
        width, height = (round(side * _SIDE / max(picture.size)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(picture)
