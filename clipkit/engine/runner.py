"""mmengine's Runner with its traps taken out: CPU process groups, exact resuming, safe checkpoints, a quiet start."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process, master_only
from mmengine.model import MMDistributedDataParallel, convert_sync_batchnorm, is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from clipkit import __version__
from clipkit.engine import traps
from clipkit.engine.checkpoint import (
    find_checkpoints,
    load_checkpoint,
    pack_message_hub,
    save_checkpoint,
    unpack_message_hub,
)
from clipkit.engine.distributed import init_process_group
from clipkit.engine.frozen import check_frozen, drop_frozen, frozen_records, student_alone
from clipkit.engine.registry import DATA_SAMPLERS, FUNCTIONS, MODEL_WRAPPERS, RUNNERS
from clipkit.engine.sampler import ResumableInfiniteSampler
from clipkit.engine.work_folder import record_config
from clipkit.errors import ClipkitError, one_line, some
from clipkit.provenance import commit, hardware

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

    # -- environment ------------------------------------------------------------------------------------------------
    def setup_env(self, env_cfg: dict) -> None:
        init_process_group(self.launcher)
        super().setup_env(env_cfg)
        # mmengine's message hubs and visualisers are global, keyed by a name that ends in the second of the start:
        # two runs of one process in the same second would share their logs.
        while self.timestamp in _used_timestamps:
            traps.rename_timestamp(self, f"{self.timestamp}+")
        _used_timestamps.add(self.timestamp)

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
            return super().wrap_model(model_wrapper_cfg, model)
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            model = model.cuda()
        if not any(parameter.requires_grad for parameter in model.parameters()):
            return model  # nothing to average over ranks, and DDP refuses it
        if on_gpu and self.cfg.get("sync_bn"):  # torch has it for GPUs alone
            model = convert_sync_batchnorm(model, self.cfg.sync_bn)
        wrapper = dict(model_wrapper_cfg or {})
        wrapper.setdefault("type", MMDistributedDataParallel)
        wrapper.setdefault("broadcast_buffers", False)
        wrapper.setdefault("find_unused_parameters", self.cfg.get("find_unused_parameters", False))
        # On a CPU, DDP refuses any device_ids; on a shared GPU, LOCAL_RANK is not a device.
        devices = [torch.cuda.current_device()] if on_gpu else None
        return MODEL_WRAPPERS.build(wrapper, default_args={"module": model, "device_ids": devices})

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
            if kind is ResumableInfiniteSampler and not wrapped:
                dataset = {"type": "clipkit.SeededDataset", "dataset": dataloader["dataset"], "seed": seed or 0}
                dataloader = {**dataloader, "dataset": dataset}
        collate = dataloader.get("collate_fn") if isinstance(dataloader, dict) else None
        if isinstance(collate, dict) and isinstance(collate.get("type"), str):  # mmengine looks in its own registry
            dataloader = {**dataloader, "collate_fn": {**collate, "type": FUNCTIONS.get(collate["type"])}}
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    # -- checkpoints ------------------------------------------------------------------------------------------------
    optim_wrapper: Any
    param_schedulers: Any

    @property
    def bare_model(self) -> nn.Module:
        """The model without a distributed wrapper."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    @master_only
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
        meta = dict(meta or {})
        meta.setdefault("epoch", self.epoch + int(by_epoch))
        meta.setdefault("iter", self.iter + int(not by_epoch))
        frozen = frozen_records(self.bare_model)
        paths = [record["path"] for record in frozen]
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
            "state_dict": self.bare_model.state_dict(),  # EMAHook swaps its weights in
            "message_hub": pack_message_hub(self.message_hub),
        }
        if save_optimizer:
            checkpoint["optimizer"] = self.optim_wrapper.state_dict()
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint["param_schedulers"] = _scheduler_states(self.param_schedulers)
        self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
        for part in ("state_dict", "ema_state_dict"):
            if part in checkpoint:
                checkpoint[part] = drop_frozen(checkpoint[part], paths)
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
        weights = {key.removeprefix("module."): value for key, value in checkpoint["state_dict"].items()}
        checkpoint["state_dict"], records = student_alone(self.bare_model, weights, records)
        check_frozen(self.bare_model, records, str(filename))
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
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
            except ClipkitError as error:  # noqa: PERF203
                if number == len(candidates) - 1 or "not a readable checkpoint" not in str(error):
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
            raise ClipkitError(f"{filename}: holds weights only, no training state; use load_from instead of --resume")
        if meta.get("seed") not in (None, self.seed):
            raise ClipkitError(f"{filename}: was trained with --seed {meta['seed']}, not {self.seed}; resume with that")
        traps.go_to(self.train_loop, meta["epoch"], meta["iter"])
        self.message_hub.load_state_dict(unpack_message_hub(checkpoint.get("message_hub", {})))
        if resume_optimizer:
            wrapper: Any = self.build_optim_wrapper(self.optim_wrapper)
            wrapper.load_state_dict(checkpoint["optimizer"])
            self.optim_wrapper = wrapper
        if resume_param_scheduler and self.param_schedulers is not None and "param_schedulers" in checkpoint:
            schedulers: Any = self.build_param_scheduler(self.param_schedulers)
            _load_schedulers(schedulers, checkpoint["param_schedulers"])
            self.param_schedulers = schedulers
        traps.set_loaded(self)
        self.logger.info(f"resumed at iteration {self.iter} from {filename}")


def load_weights(
    model: nn.Module, state_dict: dict[str, Any], filename: str, *, strict: bool, logger: Any = None
) -> None:
    """Copies weights into a model; what lies below frozen CLIPs is neither expected nor overwritten.

    Raises:
        ClipkitError: another shape; with `strict`, also missing or unexpected weights.
    """
    paths = [record["path"] for record in frozen_records(model)]
    state_dict = drop_frozen(state_dict, paths)
    try:
        result = model.load_state_dict(state_dict, strict=False)
    except RuntimeError as error:
        problem = one_line(error).partition(":")[2].strip() or one_line(error)
        raise ClipkitError(f"{filename} does not fit the model: {problem[:300]}") from error
    missing = list(drop_frozen(dict.fromkeys(result.missing_keys), paths))
    problems = []
    if missing:
        problems.append(f"{len(missing)} weights of the model are not in it ({some(missing)})")
    if result.unexpected_keys:
        problems.append(f"{len(result.unexpected_keys)} of its weights have no place ({some(result.unexpected_keys)})")
    if problems:
        message = f"{filename} does not fit the model: {'; '.join(problems)}"
        if strict:
            raise ClipkitError(f"{message}; use the config that it was trained with")
        if logger is not None:
            logger.warning(message)


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
