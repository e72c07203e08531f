"""SIGTERM during `clipkit train`, which batch systems send a while before they kill: the step ends, a checkpoint is
saved, and one line says how to go on."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from clipkit.engine.checkpoint import find_checkpoints
from clipkit.engine.checkpoint_hook import AtomicCheckpointHook
from clipkit.engine.traps import accumulated_steps


class Stopped(BaseException):
    """A training that ended after SIGTERM; its text says what is saved. No failure, so no `Exception`."""


class StopHook(Hook):
    """Ends a training after the step in which SIGTERM came; of several processes, all after the same step.

    In a validation the main process ends at once, as the weights are those of the last step; the others go on until
    they miss it. Sharded weights, which one process cannot save, wait for the next step. An epoch cannot be resumed in
    its middle: where epochs are counted, the last one's checkpoint stays.
    """

    priority = "LOWEST"  # after all that changes with a step, and the checkpoint hook

    def __init__(self) -> None:
        self._asked = False

    def before_run(self, runner: Any) -> None:
        for loop in (runner.train_loop, runner.val_loop):
            loader = getattr(loop, "dataloader", None)
            if isinstance(loader, DataLoader):
                loader.worker_init_fn = partial(_obey_the_parent_alone, loader.worker_init_fn)

    def before_train(self, runner: Any) -> None:
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number: int, frame: Any) -> None:
        self._asked = True

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        asked = torch.tensor(int(self._asked))
        all_reduce(asked, "max")
        self._asked = bool(asked)
        if _counts_epochs(runner):
            may_end = not self.end_of_epoch(runner.train_dataloader, batch_idx)  # which is about to be saved
        else:
            may_end = (runner.iter + 1) % accumulated_steps(runner.optim_wrapper) == 0
        if self._asked and may_end:
            _end(runner, runner.iter + 1)

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if self._asked and is_main_process() and not runner.is_sharded:
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    hook.after_val_epoch(runner)  # gives the model its own weights back
            _end(runner, runner.iter)


def train_until_stopped(runner: Any) -> int:
    """`runner.train()`; returns the exit code: 0, or 143 after SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    runner.register_hook(StopHook())
    try:
        runner.train()
        return 0
    except Stopped as stopped:
        if is_main_process():
            print(stopped, file=sys.stderr)
        return 128 + signal.SIGTERM
    finally:
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, before)


def _end(runner: Any, step: int) -> NoReturn:
    hook = next((hook for hook in runner.hooks if isinstance(hook, AtomicCheckpointHook)), None)
    if hook is None or _counts_epochs(runner):
        file = next(iter(find_checkpoints(runner.work_dir)), None)
    else:
        file = hook.save_now(runner, step)
    saved = f"{file} is saved: the same command with --resume goes on from there" if file else "no checkpoint is saved"
    raise Stopped(f"stopped after step {step} of {runner.max_iters}; {saved}")


def _counts_epochs(runner: Any) -> bool:
    return isinstance(runner.train_loop, EpochBasedTrainLoop)


def _obey_the_parent_alone(begin: Callable[[int], None] | None, number: int) -> None:
    """Begins a data loader's worker. Batch systems send SIGTERM to all processes, and the step that is to end may still
    need data: what others than the training itself send is left to it."""
    parent = multiprocessing.parent_process()
    if parent is not None and hasattr(signal, "sigwaitinfo"):  # macOS has none
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with, args=(parent.pid,), daemon=True).start()
    if begin is not None:
        begin(number)


def _end_with(parent: int | None) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
