"""What the loops of this plugin share: features of image sets from the store, and results that say what made them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import Evaluator
from mmengine.runner import BaseLoop

from clipkit.data.class_counts import class_counts
from clipkit.data.image_folder import LabelledImages
from clipkit.embed.images import ImageFeatures, image_features
from clipkit.errors import ClipkitError, some
from clipkit.files import append_lines
from clipkit.provenance import commit, hardware, now


class FeatureLoop(BaseLoop):
    """A test loop on features: the data loader gives the image set and the number of threads, and is not iterated.

    Args:
        store: folder of the features; default: `features` in the work directory. Runs may share one.
    """

    takes_labels = False  # other names for the classes, by --labels

    def __init__(self, runner: Any, dataloader: Any, evaluator: Any = None, store: str | None = None) -> None:
        super().__init__(runner, dataloader)
        self.evaluator = Evaluator([])  # where a hook looks for metrics
        self.store = Path(store or Path(runner.work_dir) / "features")

    @property
    def model(self) -> Any:
        """The `ClipClassifier`."""
        return self.runner.bare_model

    @property
    def images(self) -> LabelledImages:
        """The test set."""
        return self.dataloader.dataset

    def measure(self) -> dict[str, float]:
        """The numbers of a run."""
        raise NotImplementedError

    def run(self) -> dict[str, float]:
        """Measures, between mmengine's hooks."""
        self.runner.call_hook("before_test")
        if self.model.vocabulary is not None and not self.takes_labels:
            raise ClipkitError(f"{type(self).__name__} goes by the data set's own classes: leave the labels out")
        self.say_counts("test set", self.images)
        self.runner.call_hook("before_test_epoch")
        metrics = {key: round(value, 2) for key, value in self.measure().items()}
        self.runner.call_hook("after_test_epoch", metrics=metrics)
        self.runner.call_hook("after_test")
        return metrics

    def features(self, images: Any) -> ImageFeatures:
        """Features of an image set, from the store where it has them."""
        workers = max(self.dataloader.num_workers, 1)
        return image_features(self.model.clip, images, self.store, precision=self.model.precision, workers=workers)

    def say_counts(self, what: str, images: Any) -> None:
        """How many images each class of a set has; sets without classes are passed over.

        Raises:
            ClipkitError: there is no image at all.
        """
        if not len(images):
            raise ClipkitError(f"the {what} holds no image")
        if isinstance(images, LabelledImages):
            counts = np.bincount(images.labels, minlength=len(images.names)).tolist()
            self.say(f"{what}: {class_counts(images.names, counts, 'images')}")

    def require_same_classes(self, **sets: Any) -> None:
        """Says how many images each class has in sets that are compared with the test set.

        Raises:
            ClipkitError: their classes are not its own, in its order; the line names what one set alone has.
        """
        for what, images in sets.items():
            if tuple(images.names) != tuple(self.images.names):
                ours, theirs = set(self.images.names), set(images.names)
                alone = sorted(ours ^ theirs)
                why = f"only one of them has {some(alone, 5)}" if alone else "their order differs"
                raise ClipkitError(f"{what} and test set have different classes: {why}")
            self.say_counts(f"{what} set", images)

    def say(self, text: str) -> None:
        """A line, or a table, for the person and the log file."""
        self.runner.logger.info(text)

    def note(self, task: str, numbers: dict[str, Any], **about: Any) -> None:
        """Logs a result with all that it depends on, and appends it to `results.jsonl` in the work directory."""
        about = {**self.model.described(), **about}
        shown = ", ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in numbers.items())
        self.say(f"{task}: {shown}\n    with " + "; ".join(f"{key}: {value}" for key, value in about.items()))
        if self.runner.rank == 0:
            origin = {"commit": commit(), "hardware": hardware(str(self.model.clip.device)), "date": now()}
            known = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in numbers.items()}
            line = json.dumps({"task": task, **known, **about, **origin}, ensure_ascii=False, allow_nan=False)
            append_lines(Path(self.runner.work_dir) / "results.jsonl", [line])
