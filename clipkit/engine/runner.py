"""mmengine's Runner with its traps taken out: CPU process groups, exact resuming, safe checkpoints, a quiet start."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import broadcast_object_list, is_main_process, master_only
from mmengine.model import convert_sync_batchnorm, is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from clipkit import __version__
from clipkit.engine import traps
from clipkit.engine.checkpoint import (
    DamagedCheckpoint,
    find_checkpoints,
    load_checkpoint,
    pack_message_hub,
    save_checkpoint,
    unpack_message_hub,
)
from clipkit.engine.distributed import init_process_group
from clipkit.engine.frozen import check_frozen, frozen_records, student_alone
from clipkit.engine.registry import DATA_SAMPLERS, FUNCTIONS, MODEL_WRAPPERS, RUNNERS
from clipkit.engine.sampler import ResumableInfiniteSampler
from clipkit.engine.weights import broken_weights, load_weights, refuse_broken, refuse_odd_state, unwrap_names
from clipkit.engine.work_folder import record_config
from clipkit.errors import ClipkitError, one_line, some
from clipkit.provenance import commit, hardware
from clipkit.work_dir_lock import lock, unlock

_used_timestamps: set[str] = set()


@RUNNERS.register_module()
class ClipkitRunner(Runner):
    """Trains, validates and tests what a config says; see mmengine's `Runner` for the arguments.

    Differences: gloo on a CPU; the training data is wrapped in `SeededDataset`; checkpoints leave frozen CLIPs out,
    are written atomically and read with `weights_only=True`; the config text inside a checkpoint is never evaluated;
    a checkpoint to test or resume from must fit the model.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._console = _ConsoleFilter()
        super().__init__(*args, **kwargs)
        self._console.quiet = False
        self._config_text = self.cfg.pretty_text  # formatting takes 0.2 s and more, too long for each checkpoint
        if self._train_dataloader is not None and is_main_process():
            record_config(self.cfg, self._config_text, self.work_dir)

    def setup_env(self, env_cfg: dict) -> None:
        init_process_group(self.launcher, (env_cfg.get("dist_cfg") or {}).get("timeout"))
        super().setup_env(env_cfg)
        if traps.is_for_training(self):
            self._lock_work_dir()  # before anything is written there
        # mmengine's message hubs, visualisers and folders of logs are named by the second of the start: two runs of one
        # process in the same second would share them, and a second that comes again, as when a clock is set back,
        # would begin an earlier run's log anew.
        name = [self.timestamp]
        while self.rank == 0 and (name[0] in _used_timestamps or Path(self.work_dir, name[0]).exists()):
            name[0] += "+"
        broadcast_object_list(name)
        traps.rename_timestamp(self, name[0])
        _used_timestamps.add(self.timestamp)

    def _lock_work_dir(self) -> None:
        refused: list[str | None] = [None]
        if self.rank == 0:
            try:
                lock(self.work_dir)
            except ClipkitError as error:
                refused[0] = str(error)
        broadcast_object_list(refused)  # or the other processes would wait for this one
        if refused[0]:
            raise ClipkitError(refused[0])

    def build_logger(self, *args: Any, **kwargs: Any) -> Any:
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.addFilter(self._console)
        return logger

    def _log_env(self, env_cfg: dict) -> None:
        # mmengine's version calls compilers for their version numbers: a second that every start would wait for.
        self.logger.info(f"clipkit {__version__}, commit {commit()}, {hardware()}, seed {self.seed}")
        self.logger.info(f"processes: {self.world_size}\nConfig:\n{self.cfg.pretty_text}")

    @master_only
    def dump_config(self) -> None:
        target = Path(self.work_dir) / Path(self.cfg.filename or f"{self.timestamp}.py").name
        # A work folder may be the config's own: what the user wrote is never replaced by what options made of it.
        if self.cfg.filename and target.exists() and target.samefile(self.cfg.filename):
            target = Path(self.log_dir) / target.name
        self.cfg.dump(str(target))

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        if not self.distributed or is_model_wrapper(model):
            if model_wrapper_cfg and not self.distributed:
                self.logger.info("model_wrapper_cfg does nothing in a single process")
            return super().wrap_model(model_wrapper_cfg, model)
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            model = model.cuda()
        if not any(parameter.requires_grad for parameter in model.parameters()):
            return model  # nothing to average over ranks, and DDP refuses it
        if on_gpu and self.cfg.get("sync_bn"):  # torch has it for GPUs alone
            model = convert_sync_batchnorm(model, self.cfg.sync_bn)
        wrapper = {"type": "MMDistributedDataParallel", **(model_wrapper_cfg or {})}
        kind = MODEL_WRAPPERS.get(wrapper["type"]) if isinstance(wrapper["type"], str) else wrapper["type"]
        if isinstance(kind, type) and issubclass(kind, DistributedDataParallel):
            wrapper.setdefault("broadcast_buffers", False)
            wrapper.setdefault("find_unused_parameters", self.cfg.get("find_unused_parameters", False))
            # On a CPU, DDP refuses any device_ids; on a shared GPU, LOCAL_RANK is not a device.
            wrapper.setdefault("device_ids", [torch.cuda.current_device()] if on_gpu else None)
        return MODEL_WRAPPERS.build(wrapper, default_args={"module": model})

    def _init_model_weights(self) -> None:
        if not self.is_sharded:  # else its wrapper has done so
            super()._init_model_weights()

    def scale_lr(self, optim_wrapper: Any, auto_scale_lr: dict | None = None) -> None:
        """Multiplies every rate by (images of a step on all ranks) / `base_batch_size`. mmengine leaves gradient
        accumulation out of the images of a step."""
        if auto_scale_lr and auto_scale_lr.get("enable"):
            steps = traps.accumulated_steps(optim_wrapper)
            auto_scale_lr = {**auto_scale_lr, "base_batch_size": auto_scale_lr["base_batch_size"] / steps}
        super().scale_lr(optim_wrapper, auto_scale_lr)

    @staticmethod
    def build_dataloader(dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False) -> Any:
        sampler = dataloader.get("sampler") if isinstance(dataloader, dict) else None
        if isinstance(sampler, dict) and isinstance(dataloader.get("dataset"), dict):
            kind = sampler.get("type")
            kind = DATA_SAMPLERS.get(kind) if isinstance(kind, str) else kind
            wrapped = str(dataloader["dataset"].get("type")).endswith("SeededDataset")
            if isinstance(kind, type) and issubclass(kind, ResumableInfiniteSampler) and not wrapped:
                dataset = {"type": "clipkit.SeededDataset", "dataset": dataloader["dataset"], "seed": seed or 0}
                dataloader = {**dataloader, "dataset": dataset}
        collate = dataloader.get("collate_fn") if isinstance(dataloader, dict) else None
        if isinstance(collate, dict) and isinstance(collate.get("type"), str):  # mmengine looks in its own registry
            dataloader = {**dataloader, "collate_fn": {**collate, "type": FUNCTIONS.get(collate["type"])}}
        loader = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
        if isinstance(loader.sampler, DefaultSampler) and loader.drop_last and len(loader) == 0:
            said = f"{type(loader.dataset).__name__} has for a process less than a batch of {loader.batch_size}"
            raise ClipkitError(f"{said}, and drop_last leaves those out: lower batch_size, or set drop_last=False")
        return loader

    def train(self) -> nn.Module:
        try:
            return super().train()
        finally:
            unlock(self.work_dir)

    optim_wrapper: Any
    param_schedulers: Any

    @property
    def bare_model(self) -> nn.Module:
        """The model without a distributed wrapper."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    @property
    def is_sharded(self) -> bool:
        """Whether no process holds the whole model (`clipkit.FullyShard`)."""
        return hasattr(self.model, "gather_state")

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: Any = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict | None = None,
        by_epoch: bool = True,
        backend_args: Any = None,
    ) -> None:
        gather = self.model.gather_state if self.is_sharded else lambda part: part
        weights, frozen = gather(self.bare_model.state_dict()), frozen_records(self.bare_model)
        optimizer = gather(self.optim_wrapper.state_dict()) if save_optimizer else None
        if self.is_sharded:
            self.model.train(self.model.training)  # its state dict has sharded what a validation holds whole
        if not is_main_process():
            return
        meta = dict(meta or {})
        meta.setdefault("epoch", self.epoch + int(by_epoch))
        meta.setdefault("iter", self.iter + int(not by_epoch))
        meta.update(
            format="clipkit/1",
            cfg=self._config_text,
            seed=self.seed,
            experiment_name=self.experiment_name,
            time=time.strftime("%Y%m%d_%H%M%S"),
            frozen=frozen,
            dataset_meta=getattr(self.train_dataloader.dataset, "metainfo", None),
        )
        checkpoint: dict[str, Any] = {
            "meta": meta,
            "state_dict": weights,  # EMAHook swaps its own in
            "message_hub": pack_message_hub(self.message_hub),
        }
        if save_optimizer:
            checkpoint["optimizer"] = optimizer
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint["param_schedulers"] = _scheduler_states(self.param_schedulers)
        self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
        for part in ("state_dict", "ema_state_dict"):
            if broken := broken_weights(checkpoint.get(part, {}), self.bare_model):
                raise ClipkitError(
                    f"step {meta['iter']}: {some(broken)} hold numbers that are not finite: the training has "
                    f"diverged, and {filename} is not written; {self.way_back()}"
                )
        save_checkpoint(checkpoint, f"{out_dir}/{filename}")

    def load_checkpoint(
        self, filename: str, map_location: Any = "cpu", strict: bool = False, revise_keys: Any = None
    ) -> dict:
        """Loads weights. Frozen CLIPs must be those of the training. A student's own config takes the weights of its
        `DistilledModel`, without teacher.

        Args:
            strict: refuse missing and unexpected weights; else they are only listed.

        Raises:
            ClipkitError: the file cannot be read safely, or does not fit the model.
        """
        checkpoint = load_checkpoint(filename, map_location)
        records = checkpoint.get("meta", {}).get("frozen", [])
        weights = unwrap_names(checkpoint["state_dict"], self.bare_model)
        checkpoint["state_dict"], records = student_alone(self.bare_model, weights, records)
        check_frozen(self.bare_model, records, str(filename))
        for part in ("state_dict", "ema_state_dict"):  # before EMAHook swaps them
            refuse_broken(checkpoint.get(part, {}), self.bare_model, str(filename))
        try:
            self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        except (LookupError, TypeError, AttributeError, RuntimeError) as error:
            raise DamagedCheckpoint(
                f"{filename}: not a readable checkpoint: parts of it do not belong together ({one_line(error, 120)})"
            ) from error
        load_weights(self.bare_model, checkpoint["state_dict"], str(filename), strict=strict, logger=self.logger)
        traps.set_loaded(self)
        self.logger.info(f"weights loaded from {filename}")
        return checkpoint

    def load_or_resume(self) -> None:
        if traps.has_loaded(self):
            return
        load_from, resume = traps.start_of(self)
        if not resume:
            if load_from is not None:
                # A model that is tested must be the one that was trained; one that goes on training may differ.
                self.load_checkpoint(load_from, strict=not traps.is_for_training(self))
            return
        if load_from is not None:
            return self.resume(load_from)
        candidates = find_checkpoints(self.work_dir)
        for number, candidate in enumerate(candidates):
            try:
                return self.resume(str(candidate))
            except DamagedCheckpoint as error:  # noqa: PERF203
                if number == len(candidates) - 1:
                    raise
                self.logger.warning(f"{error}; going back to the one before it")
        self.logger.info(f"nothing to resume in {self.work_dir}: starting from the beginning")

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = "cpu",
    ) -> None:
        checkpoint = self.load_checkpoint(filename, map_location=map_location, strict=True)
        meta = checkpoint.get("meta", {})
        if "iter" not in meta or "optimizer" not in checkpoint:
            raise DamagedCheckpoint(
                f"{filename}: holds weights only, no training state; use load_from instead of --resume"
            )
        if not all(isinstance(meta.get(key), int) for key in ("iter", "epoch")):
            raise DamagedCheckpoint(f"{filename}: not a readable checkpoint: it does not say its iteration")
        if meta.get("seed") not in (None, self.seed):
            raise ClipkitError(f"{filename}: was trained with --seed {meta['seed']}, not {self.seed}; resume with that")
        try:
            self._take_state(checkpoint, resume_optimizer, resume_param_scheduler)
        except ValueError as error:  # an optimiser of other groups: the config is another
            raise ClipkitError(f"{filename}: its training state does not fit the config ({one_line(error)})") from error
        except (LookupError, TypeError, AttributeError, RuntimeError, AssertionError) as error:
            raise DamagedCheckpoint(
                f"{filename}: not a readable checkpoint: its training state is not what training writes "
                f"({type(error).__name__}: {one_line(error, 120)})"
            ) from error
        traps.set_loaded(self)
        self.logger.info(f"resumed at iteration {self.iter} from {filename}")

    def _take_state(self, checkpoint: dict[str, Any], optimizer: bool, param_scheduler: bool) -> None:
        traps.go_to(self.train_loop, checkpoint["meta"]["epoch"], checkpoint["meta"]["iter"])
        self.message_hub.load_state_dict(unpack_message_hub(checkpoint.get("message_hub", {})))
        if optimizer:
            wrapper: Any = self.build_optim_wrapper(self.optim_wrapper)
            optimizers = [own.optimizer for own in getattr(wrapper, "optim_wrappers", {"": wrapper}).values()]
            for own in optimizers if self.is_sharded else ():
                self.model.prepare_loading(own)
            wrapper.load_state_dict(checkpoint["optimizer"])
            for own in optimizers:
                refuse_odd_state(own)
            self.optim_wrapper = wrapper
        if param_scheduler and self.param_schedulers is not None and "param_schedulers" in checkpoint:
            schedulers: Any = self.build_param_scheduler(self.param_schedulers)
            _load_schedulers(schedulers, checkpoint["param_schedulers"])
            self.param_schedulers = schedulers

    def way_back(self) -> str:
        """What to do after a training that diverged, with the last checkpoint of it that is there."""
        good = next(iter(find_checkpoints(self.work_dir)), None)
        kept = f"the last good checkpoint is {good}" if good else "there is no checkpoint yet"
        return f"{kept}; lower the learning rate, or clip gradients (optim_wrapper.clip_grad.max_norm=1)"


class _ConsoleFilter(logging.Filter):
    """Keeps to the log file: long records while the runner is built (environment, whole config, list of hooks), and
    lines that mmengine writes for each parameter with an option of its own and, as warnings, for each frozen one."""

    quiet = True

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            return not str(record.msg).endswith(traps.FROZEN_PARAMETER)
        return not self.quiet and not str(record.msg).startswith(traps.PARAMETER_OPTION)


def _scheduler_states(schedulers: Any) -> Any:
    if isinstance(schedulers, dict):
        return {name: [item.state_dict() for item in group] for name, group in schedulers.items()}
    return [item.state_dict() for item in schedulers]


def _load_schedulers(schedulers: Any, states: Any) -> None:
    groups = schedulers.items() if isinstance(schedulers, dict) else [(None, schedulers)]
    for name, group in groups:
        for scheduler, state in zip(group, states if name is None else states[name], strict=True):
            scheduler.load_state_dict(state)
