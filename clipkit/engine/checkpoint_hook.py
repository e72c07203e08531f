"""mmengine's checkpoint hook in the order that survives a kill: write the new file, move the pointer, then delete."""

from __future__ import annotations

import inspect
import os
from collections import deque
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from clipkit.engine.registry import HOOKS
from clipkit.engine.traps import accumulated_steps
from clipkit.engine.work_folder import RECORD
from clipkit.errors import did_you_mean
from clipkit.files import clean_partial, write_text


@HOOKS.register_module(name=["CheckpointHook", "AtomicCheckpointHook"])
class AtomicCheckpointHook(CheckpointHook):
    """Saves every `interval` iterations, keeps `max_keep_ckpts`, and the best by `save_best`.

    mmengine deletes the oldest file before the new one is written and rewrites the pointer in place; a kill in between
    would leave neither. Here both come after the new file is on disk, and a run that goes on makes up for what a kill
    after that left undone: old files to remove, and the validation of the checkpoint's step, as no file says whether
    there was time for it.

    Args:
        interval: iterations between checkpoints.
        by_epoch: count epochs instead. Runs that must resume exactly count iterations.
        max_keep_ckpts: how many to keep besides the best; -1 keeps all.
        **kwargs: of mmengine's `CheckpointHook` (`save_best`, `rule`, `save_last`, …).
    """

    def __init__(self, interval: int = 500, by_epoch: bool = False, max_keep_ckpts: int = 2, **kwargs: Any) -> None:
        known = {*inspect.signature(CheckpointHook.__init__).parameters} - {"self", "kwargs"}
        unknown = sorted(set(kwargs) - known)  # mmengine would pass them on, and fail at the first checkpoint
        if unknown:
            raise ValueError(f'no argument "{unknown[0]}"; {did_you_mean(unknown[0], known)}')
        super().__init__(interval=interval, by_epoch=by_epoch, max_keep_ckpts=max_keep_ckpts, **kwargs)

    def before_train(self, runner: Any) -> None:
        # mmengine's own version also builds a deprecated file client, and removes files before anything is written.
        asked: str | None = getattr(self, "out_dir", None)
        self.out_dir = os.path.join(asked, Path(runner.work_dir).name) if asked else runner.work_dir
        Path(self.out_dir).mkdir(parents=True, exist_ok=True)
        hub = runner.message_hub
        if is_main_process():
            for folder in {Path(self.out_dir), Path(runner.work_dir), Path(runner.work_dir, RECORD).parent}:
                clean_partial(folder)
            if Path(hub.get_info("last_ckpt", "")).parent == Path(self.out_dir):  # not another folder's
                self._remove(hub.get_info("outdated_ckpts", []))
        self.file_backend = _RemoveLater(LocalBackend())
        self.last_ckpt = hub.get_info("last_ckpt")
        kept = list(hub.get_info("keep_ckpt_ids", []))
        self.keep_ckpt_ids = deque(kept[-self.max_keep_ckpts :] if self.max_keep_ckpts > 0 else kept)
        if self.save_best is not None:
            if len(self.key_indicators) == 1:
                self.best_ckpt_path = hub.get_info("best_ckpt")
            else:
                self.best_ckpt_path_dict = {key: hub.get_info(f"best_ckpt_{key}") for key in self.key_indicators}
        runner.logger.info(f"checkpoints go to {self.out_dir}")
        steps = accumulated_steps(runner.optim_wrapper)
        if not self.by_epoch and self.interval % steps:
            runner.logger.warning(
                f"a run that goes on after a kill will differ: checkpoints come every {self.interval} iterations, and "
                f"accumulative_counts={steps} gradients are summed up; make the interval a multiple"
            )
        self._validate_again(runner)

    def _validate_again(self, runner: Any) -> None:
        loop = runner.train_loop
        if isinstance(loop, EpochBasedTrainLoop):
            done, end = loop.epoch, loop.max_epochs
        elif isinstance(loop, IterBasedTrainLoop):
            done, end = loop.iter, loop.max_iters
        else:
            return
        if done >= max(1, loop.val_begin) and (done % loop.val_interval == 0 or done == end) and runner.val_loop:
            runner.val_loop.run()

    def save_now(self, runner: Any, step: int) -> Path:
        """Saves what iteration `step` (from 1) left, whatever the interval says; returns the file."""
        if self.last_ckpt is None or Path(self.last_ckpt).name != self.filename_tmpl.format(step):
            self._save_checkpoint_with_step(runner, step, {"epoch": runner.epoch, "iter": step})
        return Path(self.last_ckpt)

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict) -> None:
        outdated = self._outdated_best()
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated.append(self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))
        runner.message_hub.update_info("outdated_ckpts", outdated)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = os.path.join(self.out_dir, name)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            **self.args,
        )
        if is_main_process():
            write_text(Path(runner.work_dir) / "last_checkpoint", self.last_ckpt)
            self._remove(outdated)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            if name.endswith(".pth"):  # a checkpoint, which may be a stranger's, says what is outdated
                Path(self.out_dir, Path(name).name).unlink(missing_ok=True)

    def _save_best_checkpoint(self, runner: Any, metrics: dict) -> None:
        if not hasattr(self, "file_backend"):
            return  # `runner.val()` without training: there is nothing new to save
        super()._save_best_checkpoint(runner, metrics)
        self._remove(self._outdated_best())
        self.file_backend.waiting.clear()

    def _outdated_best(self) -> list[str]:
        best = {getattr(self, "best_ckpt_path", None), *getattr(self, "best_ckpt_path_dict", {}).values()}
        return [Path(path).name for path in self.file_backend.waiting if path not in best]


class _RemoveLater:
    """A file backend that removes nothing, and remembers what it was to remove."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.waiting: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.waiting.append(str(path))
