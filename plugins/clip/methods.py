"""Few-shot methods, each a function: a task with a few labelled embeddings -> logits of the test embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from clipkit_plugins.clip.views import all_views
from torch import Tensor, nn
from torch.nn import functional as F

from clipkit.adapters import ClipAdapter, PromptLearner, TipAdapter
from clipkit.backbone import ClipModel
from clipkit.errors import ClipkitError
from clipkit.evaluation.linear_probe import sweep_logistic

RATIOS = (0.2, 0.4, 0.6, 0.8, 1.0)  # of CLIP-Adapter
COOP_OPTIONS = ("context", "position", "words", "lr", "batch", "epochs")


@dataclass
class FewShotTask:
    """What a method may look at: `K` names, their zero-shot rows, shots and validation examples. No test image.

    Attributes:
        clip: for CoOp, which needs the text tower.
        names: K class names; classifier: `(K, D)` unit rows, from prompts.
        shots: `(V, M, D)` embeddings of M images in V views, not normalised; labels: `(M,)`.
        val: `(L, D)`; val_labels: `(L,)`.
        count: shots a class.
        seed: of everything random.
        coop: options of `coop`.
    """

    clip: ClipModel
    names: Sequence[str]
    classifier: Tensor
    shots: Tensor
    labels: Tensor
    val: Tensor
    val_labels: Tensor
    count: int
    seed: int = 0
    coop: dict[str, Any] = field(default_factory=dict)

    @property
    def scale(self) -> float:
        """s of the logits."""
        return self.clip.logit_scale

    def accuracy(self, logits: Tensor) -> float:
        """Of logits on the validation examples, in percent; ValueError where there are none."""
        if len(self.val_labels) == 0:
            raise ValueError("no validation examples to choose by: a class has too few; lower shots, or give more")
        return 100 * (logits.argmax(1) == self.val_labels).double().mean().item()


class Fitted(NamedTuple):
    """A classifier `(B, D)` embeddings -> `(B, K)` logits, and in words what validation chose."""

    logits: Callable[[Tensor], Tensor]
    chosen: str


def zero_shot(task: FewShotTask) -> Fitted:
    """The prompts alone."""
    return Fitted(lambda x: task.scale * F.normalize(x, dim=-1) @ task.classifier.T, "nothing")


def probe(task: FewShotTask) -> Fitted:
    """Logistic regression on the embeddings, not normalised; C by validation."""
    shots, labels = all_views(task.shots, task.labels)
    found = sweep_logistic(shots, labels, task.val, task.val_labels, len(task.names)).probe
    return Fitted(found.scores, f"C {found.C:.3g}")


def clip_adapter(task: FewShotTask) -> Fitted:
    """CLIP-Adapter; its ratio by validation. AdamW 1e-3, cosine, 100 epochs, batch 256."""
    best: tuple[float, float, ClipAdapter] | None = None
    shots, labels = all_views(task.shots, task.labels)
    for ratio in RATIOS:
        with torch.random.fork_rng():
            torch.manual_seed(task.seed)
            module = ClipAdapter(task.classifier, task.scale, ratio).to(shots.device)
        train(module.parameters(), lambda x, m=module: m(x), shots, labels, task.seed, epochs=100)
        with torch.no_grad():
            accuracy = task.accuracy(module(task.val))
        if best is None or accuracy > best[0]:
            best = accuracy, ratio, module
    assert best is not None
    return Fitted(torch.no_grad()(best[2].__call__), f"ratio {best[1]}")


def tip_adapter(task: FewShotTask) -> Fitted:
    """Tip-Adapter; alpha and beta by validation."""
    module = TipAdapter(task.shots, task.labels, task.classifier, task.scale)
    found = module.search(task.val, task.val_labels)
    return Fitted(torch.no_grad()(module.__call__), f"alpha {found.alpha:.2f}, beta {found.beta:.2f}")


def tip_adapter_f(task: FewShotTask) -> Fitted:
    """Tip-Adapter-F: keys trained with the alpha and beta of Tip-Adapter, then both searched again. AdamW 1e-3 with eps
    1e-4, cosine, 20 epochs, batch 256, as in the released code."""
    module = TipAdapter(task.shots, task.labels, task.classifier, task.scale, learn_keys=True)
    module.search(task.val, task.val_labels)
    shots, labels = all_views(task.shots, task.labels)
    train(module.parameters(), module, shots, labels, task.seed, epochs=20, eps=1e-4)
    found = module.search(task.val, task.val_labels)
    return Fitted(torch.no_grad()(module.__call__), f"alpha {found.alpha:.2f}, beta {found.beta:.2f}")


def coop(task: FewShotTask, per_class: bool = False) -> Fitted:
    """CoOp with SGD 0.002, momentum 0.9, weight decay 5e-4, cosine after one epoch at 1e-5; 50, 100 or 200 epochs for
    1, 2 to 4 or more shots (Zhou et al., arXiv:2109.01134, section 4.1). `task.coop` may hold other `context`,
    `position`, `words`, `lr` (several are tried on validation data), `batch` (32) and `epochs`."""
    options = dict(task.coop)
    rates, batch = options.pop("lr", (0.002,)), options.pop("batch", 32)
    epochs = options.pop("epochs", None) or (50 if task.count == 1 else 100 if task.count <= 4 else 200)
    shots, labels = all_views(F.normalize(task.shots, dim=-1), task.labels)
    best: tuple[float, float, Tensor] | None = None
    for rate in [rates] if isinstance(rates, float) else rates:
        learner = PromptLearner(task.clip, task.names, per_class=per_class, seed=task.seed, **options)
        train(
            learner.parameters(), lambda x, m=learner: task.scale * x @ m().T, shots, labels, task.seed, epochs=epochs,
            batch=batch, lr=rate, sgd=True,
        )  # fmt: skip
        with torch.no_grad():
            rows = learner()
        accuracy = task.accuracy(F.normalize(task.val, dim=-1) @ rows.T)
        if best is None or accuracy > best[0]:
            best = accuracy, rate, rows
    assert best is not None
    rows = best[2]
    return Fitted(lambda x: task.scale * F.normalize(x, dim=-1) @ rows.T, f"lr {best[1]:g}")


def coop_per_class(task: FewShotTask) -> Fitted:
    """CoOp with a context for each class."""
    return coop(task, per_class=True)


METHODS: dict[str, Callable[[FewShotTask], Fitted]] = {
    "zero-shot": zero_shot,
    "linear probe": probe,
    "CoOp": coop,
    "CoOp per class": coop_per_class,
    "CLIP-Adapter": clip_adapter,
    "Tip-Adapter": tip_adapter,
    "Tip-Adapter-F": tip_adapter_f,
}


def train(
    parameters: Any,
    logits: Callable[[Tensor], Tensor] | nn.Module,
    embeddings: Tensor,
    labels: Tensor,
    seed: int,
    *,
    epochs: int,
    batch: int = 256,
    lr: float = 1e-3,
    eps: float = 1e-8,
    sgd: bool = False,
) -> None:
    """Cross-entropy over shuffled batches; a cosine of the rate over all steps. `sgd` is CoOp's optimiser, whose first
    epoch has the rate 1e-5; else AdamW."""
    parameters = list(parameters)
    optimizer: torch.optim.Optimizer
    if sgd:
        optimizer = torch.optim.SGD(parameters, lr, momentum=0.9, weight_decay=5e-4)
    else:
        optimizer = torch.optim.AdamW(parameters, lr, eps=eps)
    generator = torch.Generator().manual_seed(seed)
    steps = -(-len(embeddings) // batch)

    def rate(step: int) -> float:
        return 1e-5 / lr if sgd and step < steps else (1 + math.cos(math.pi * step / (epochs * steps))) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    for _ in range(epochs):
        for chosen in torch.randperm(len(embeddings), generator=generator).split(batch):
            loss = F.cross_entropy(logits(embeddings[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if not all(parameter.isfinite().all() for parameter in parameters):  # once an epoch: a GPU waits for it
            raise ClipkitError(f"the training has diverged: weights are not finite; lower the learning rate ({lr:g})")
