"""Linear probes of an image set: logistic regression and ridge, on features before and after the projection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from clipkit.classification.image_sets import build_images
from clipkit.classification.loops import FeatureLoop
from clipkit.data.shots import split_off
from clipkit.engine.registry import LOOPS
from clipkit.errors import ClipkitError
from clipkit.evaluation.classification import classification_scores
from clipkit.evaluation.linear_probe import (
    Sweep,
    logistic_probe,
    ridge_probes,
    sweep_logistic,
    sweep_ridge,
)

KINDS = ("logistic", "ridge")


@LOOPS.register_module()
class ProbeLoop(FeatureLoop):
    """Fits probes to the features of a training set and tests them (Radford et al. 2021, section 3.2 and appendix A.3).

    The strength of the penalty is chosen on validation data; then the probe is fitted again to training and validation
    data together, as in the paper. The test set decides nothing.

    Args:
        train: the training set, a config of an image set.
        val: the validation set; None splits `val_share` off the training set.
        val_share: share of each class's training images.
        seed: of that split.
        features: 'penultimate' (before the projection: the paper's for ViT) and 'embedding' (after it), each a row.
        kinds: 'logistic' (L-BFGS) and 'ridge' (closed form), each a row.
        **kwargs: see `FeatureLoop`.
    """

    def __init__(
        self,
        *args: Any,
        train: dict,
        val: dict | None = None,
        val_share: float = 0.2,
        seed: int = 0,
        features: Sequence[str] = ("penultimate", "embedding"),
        kinds: Sequence[str] = KINDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        for what, given, known in (("features", features, ("penultimate", "embedding")), ("kinds", kinds, KINDS)):
            if isinstance(given, str) or not set(given) <= set(known):
                raise ClipkitError(f"{what}= is a list of {' and '.join(known)}, got {given!r}")
        self.train_set = build_images(train)
        self.val_set = None if val is None else build_images(val)
        self.val_share, self.seed = val_share, seed
        self.parts, self.kinds = list(features), list(kinds)

    def measure(self) -> dict[str, float]:
        train_set, val_set = self.train_set, self.val_set
        if val_set is None:
            rest, held = split_off(train_set.labels, self.val_share, self.seed)
            train_set, val_set = self.train_set.take(rest), self.train_set.take(held)
        sets = (train_set, val_set, self.images)
        self.require_same_classes(training=train_set, validation=val_set)
        count = len(self.images.names)
        train, val, test = (self.features(images) for images in sets)
        train_labels, val_labels, labels = (torch.from_numpy(images.labels) for images in sets)
        both_labels = torch.cat([train_labels, val_labels])
        device = self.model.clip.device
        metrics = {}
        for features in self.parts:
            x, v, t = (part[features].to(device) for part in (train, val, test))
            for kind in self.kinds:
                sweep = _sweep(kind)(x, train_labels.to(device), v, val_labels.to(device), count)
                probe = _fit(kind, torch.cat([x, v]), both_labels.to(device), sweep, count)
                guesses = probe.scores(t).topk(min(5, count), dim=1).indices.cpu()
                scores = classification_scores(guesses, labels, count)
                found = {"top1": scores.top1, "top5": scores.topk, "mean_per_class": scores.mean_per_class}
                metrics.update({f"{features}/{kind}/{key}": value for key, value in found.items()})
                chosen = f"{'C' if kind == 'logistic' else 'lambda'} {sweep.probe.C:.3g} of {len(sweep.tried)} tried"
                self.note(
                    "linear probe", {**found, "validation": sweep.accuracy}, probe=kind,
                    features=f"{features} ({x.shape[1]}), not normalised", chosen=f"{chosen}, on validation data",
                    classes=count, training=len(train), held_out=len(val), images=len(test),
                )  # fmt: skip
        return metrics


def _sweep(kind: str) -> Any:
    return sweep_logistic if kind == "logistic" else sweep_ridge


def _fit(kind: str, features: torch.Tensor, labels: torch.Tensor, sweep: Sweep, count: int) -> Any:
    if kind == "logistic":
        return logistic_probe(features, labels, sweep.probe.C, count, start=sweep.probe)
    return ridge_probes(features, labels, [sweep.probe.C], count)[0]
