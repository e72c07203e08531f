"""Small hooks that most configs want."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.hooks import Hook

from clipkit.engine.registry import HOOKS
from clipkit.engine.sampler import seed_everything
from clipkit.errors import ClipkitError


@HOOKS.register_module()
class ReseedHook(Hook):
    """Seeds the main process from (seed, rank, iteration) before each training step and each validation.

    mmengine saves no random state; with this hook there is none to save: dropout and everything else random in a step
    or a validation is the same whether the run was killed before it or not, and whatever was drawn in between.
    """

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        # 1 more number than a sample's (seed, draw), so that the streams never meet.
        seed_everything(runner.seed, runner.rank, runner.iter, cuda=True)

    def before_val_epoch(self, runner: Any) -> None:
        seed_everything(runner.seed, runner.rank, runner.iter, 1, cuda=True)


@HOOKS.register_module()
class ClampHook(Hook):
    """After each optimiser step, calls `clamp_()` on every module that has it (`clipkit.adapters.LogitScale`,
    which does so by itself before it is used)."""

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._modules: list[Any] | None = None

    def before_train(self, runner: Any) -> None:
        self._modules = [module for module in runner.model.modules() if callable(getattr(module, "clamp_", None))]

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        for module in self._modules or ():
            module.clamp_()


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops a training whose loss is not finite: no later step repairs weights that such a gradient reached.

    It costs no wait for the GPU: mmengine has just read the step's losses for its log. A loss that overflowed in fp16
    reaches no weight, the loss scaling leaves its step out; there the run stops after 50 of them in a row. Weights are
    looked at by `ClipkitRunner.save_checkpoint`, before each checkpoint.

    Raises:
        ClipkitError: one line with step, loss, and the last good checkpoint.
    """

    priority = "HIGH"  # after mmengine has logged the losses, before anything is saved

    def __init__(self) -> None:
        self._skipped = 0

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        logged = runner.message_hub.log_scalars
        broken = [
            (name, value)
            for name in outputs or ()
            if "loss" in name and f"train/{name}" in logged
            if not math.isfinite(value := logged[f"train/{name}"].current())
        ]
        self._skipped = self._skipped + 1 if broken else 0
        scaler = getattr(runner.optim_wrapper, "loss_scaler", None)
        skips = scaler is not None and scaler.is_enabled()
        if broken and not (skips and self._skipped < 50):
            name, value = broken[0]
            raise ClipkitError(
                f"step {runner.iter + 1}: {name} is {value}: the training has diverged; {runner.way_back()}"
            )


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Lays convolutions out with channels last before the run: faster on CPUs with bf16 and on tensor cores, with the
    same values. LSeg does so by itself; this is for other people's models."""

    priority = "VERY_HIGH"

    def before_run(self, runner: Any) -> None:
        runner.model.to(memory_format=torch.channels_last)


class SetLabelsHook(Hook):
    """Before testing, and after the weights are loaded, gives the model and every metric that wants them other classes
    by `set_labels(vocabulary)`.

    Args:
        vocabulary: a `clipkit.text.Vocabulary`.
    """

    priority = "VERY_LOW"

    def __init__(self, vocabulary: Any) -> None:
        self.vocabulary = vocabulary

    def before_test(self, runner: Any) -> None:
        for part in (runner.bare_model, *runner.test_loop.evaluator.metrics):
            if callable(getattr(part, "set_labels", None)):
                part.set_labels(self.vocabulary)
