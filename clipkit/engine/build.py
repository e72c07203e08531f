"""From a config to a runner: everything that `clipkit train` and `clipkit test` share."""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from clipkit.engine.checkpoint import find_checkpoints, load_checkpoint, resolve_checkpoint
from clipkit.engine.config import load_config, merge_options
from clipkit.engine.distributed import LAUNCHERS, resolve_launcher
from clipkit.engine.friendly import friendly_build
from clipkit.engine.ignored import check_ignored
from clipkit.engine.plugins import load_plugins
from clipkit.engine.register import register_engine
from clipkit.engine.runner import ClipkitRunner
from clipkit.engine.variables import resolve_variables
from clipkit.errors import ClipkitError, did_you_mean

# Windows has no fork, and macOS's own libraries do not survive one.
_START = "fork" if sys.platform.startswith("linux") else "spawn"
_DEFAULTS: dict[str, Any] = {
    "default_scope": "clipkit",
    "plugins": [],
    "default_hooks": {},
    "custom_hooks": [],
    "env_cfg": {"cudnn_benchmark": False, "mp_cfg": {"mp_start_method": _START, "opencv_num_threads": 0}},
    "log_processor": {"by_epoch": False},
    "log_level": "INFO",
    "randomness": {"seed": 0, "deterministic": False},
    "visualizer": {"type": "Visualizer", "vis_backends": [{"type": "LocalVisBackend"}]},
    "load_from": None,
    "resume": False,
}
_DEFAULT_HOOKS: dict[str, Any] = {
    "timer": {"type": "IterTimerHook"},
    "logger": {"type": "LoggerHook", "interval": 50, "log_metric_by_epoch": False},
    "param_scheduler": {"type": "ParamSchedulerHook"},
    "checkpoint": {"type": "clipkit.AtomicCheckpointHook", "interval": 500},
}
_VIS = {"tensorboard": ("TensorboardVisBackend", "tensorboard"), "wandb": ("WandbVisBackend", "wandb")}


def prepare_config(
    config: str | Path | Config, *, cfg_options: Mapping[str, Any] | None = None, for_training: bool = True
) -> Config:
    """Reads a config, adds what clipkit sets unless the config does, loads its plugins, applies options.

    Args:
        config: path, name of an installed config, or a mmengine `Config` (left unchanged).
        cfg_options: dotted key -> value; see `clipkit.engine.config.merge_options`.
        for_training: keep the parts that only training needs.

    Raises:
        ClipkitError: unknown config, plugin or option.
    """
    loaded = load_config(config)
    cfg = copy.deepcopy(loaded) if isinstance(config, Config) else loaded
    options = cfg_options or {}
    _add_defaults(cfg, _DEFAULTS)
    _add_defaults(cfg.default_hooks, _DEFAULT_HOOKS)
    register_engine()
    load_plugins(options.get("plugins", cfg.plugins) or [])
    merge_options(cfg, options)
    resolve_variables(cfg)
    check_ignored(dict(cfg.items()))
    wrapper = cfg.get("optim_wrapper") or {}
    if wrapper.get("type") == "OptimWrapper":  # an option's, over a config's AmpOptimWrapper
        wrapper.pop("dtype", None)
    _add_hook(cfg, "clipkit.ReseedHook")
    _add_hook(cfg, "clipkit.ClampHook")
    _add_hook(cfg, "clipkit.FiniteLossHook")
    if not for_training:
        for key in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler", "auto_scale_lr"):
            cfg[key] = None
        for key in ("val_dataloader", "val_cfg", "val_evaluator"):
            cfg[key] = None
        cfg.pop("model_wrapper_cfg", None)  # how a training divides its model
    return cfg


def build_runner(
    config: str | Path | Config,
    *,
    work_dir: str | Path | None = None,
    resume: bool | str = False,
    amp: bool | str = False,
    seed: int | None = None,
    deterministic: bool = False,
    launcher: str = "auto",
    cfg_options: Mapping[str, Any] | None = None,
    vis: str | None = None,
    checkpoint: str | Path | None = None,
    for_training: bool = True,
) -> ClipkitRunner:
    """A runner that is ready for `.train()`, `.val()` or `.test()`.

    Args:
        config: path, name of an installed config, or a mmengine `Config`.
        work_dir: where logs and checkpoints go; by default the config's own, else `work_dirs/<config name>`.
        resume: True goes on from the newest checkpoint in `work_dir` (from the beginning if there is none, which may
            be a config's `load_from`); a path goes on from that file. By default the config's own `resume`.
        amp: mixed precision; True takes what the device computes fast, or 'bf16', 'fp16'.
        seed: of everything random; by default the config's `randomness.seed`, else 0. When resuming, the checkpoint's.
        deterministic: deterministic CUDA kernels, slower.
        launcher: 'auto' | 'none' | 'pytorch' | 'slurm' | 'mpi'; 'auto' sees torchrun by its environment.
        cfg_options: dotted key -> value.
        vis: 'tensorboard' or 'wandb', besides the local log.
        checkpoint: weights to start from; a work folder stands for its newest checkpoint.
        for_training: False builds the testing part only, and then weights must fit the model exactly.

    Raises:
        ClipkitError: anything in the config that a person can repair.
    """
    if launcher not in LAUNCHERS:
        raise ClipkitError(f'unknown launcher "{launcher}"; {did_you_mean(launcher, LAUNCHERS)}')
    cfg = prepare_config(config, cfg_options=cfg_options, for_training=for_training)
    name = Path(cfg.filename).stem if cfg.filename else "run"
    cfg.work_dir = str(work_dir or cfg.get("work_dir") or Path("work_dirs") / name)
    cfg.launcher = resolve_launcher(launcher)
    resume = resume or (for_training and cfg.get("resume")) or False
    cfg.resume = bool(resume)
    if isinstance(resume, (str, Path)):
        checkpoint = resume
    if checkpoint is not None:
        cfg.load_from = str(resolve_checkpoint(checkpoint))
    elif cfg.resume and cfg.get("load_from"):
        # A config's `load_from` is where a run begins; one that has begun goes on from its own checkpoints.
        cfg.resume = bool(find_checkpoints(cfg.work_dir))
        cfg.load_from = None if cfg.resume else cfg.load_from
    _set_seed(cfg, seed, deterministic)
    if vis:
        _add_vis(cfg, vis)
    for key in ("model", "train_cfg" if for_training else "test_cfg"):
        if cfg.get(key) is None:
            raise ClipkitError(
                f"{cfg.filename or 'the config'} has no `{key}`: it does not describe a whole experiment"
            )
    if amp and for_training:
        cfg.optim_wrapper.type = "clipkit.AmpOptimWrapper"
        cfg.optim_wrapper.dtype = amp if isinstance(amp, str) else cfg.optim_wrapper.get("dtype")
    with friendly_build():
        return ClipkitRunner.from_cfg(cfg)


def _set_seed(cfg: Config, seed: int | None, deterministic: bool) -> None:
    if seed is None and cfg.resume:
        candidates = [Path(cfg.load_from)] if cfg.load_from else find_checkpoints(cfg.work_dir)
        for candidate in candidates:
            try:
                seed = load_checkpoint(candidate, mmap=True).get("meta", {}).get("seed")
                break
            except ClipkitError:  # the runner says what is wrong with the file, and takes the one before it
                continue
    if seed is None:
        seed = cfg.randomness.get("seed")
    cfg.randomness.seed = random.SystemRandom().randrange(2**31) if seed is None else int(seed)
    if deterministic:
        cfg.randomness.deterministic = True


def _add_defaults(node: Any, defaults: Mapping[str, Any]) -> None:
    for key, value in defaults.items():
        if key not in node:
            node[key] = ConfigDict(value) if isinstance(value, dict) else (list(value) if value == [] else value)


def _add_hook(cfg: Config, kind: str) -> None:
    hooks = cfg.custom_hooks or []  # None: an option that leaves out the config's own
    present = [str(hook.get("type")) for hook in hooks if isinstance(hook, dict)]
    if kind not in present and kind.removeprefix("clipkit.") not in present:
        cfg.custom_hooks = [*hooks, {"type": kind}]


def _add_vis(cfg: Config, vis: str) -> None:
    if vis not in _VIS:
        raise ClipkitError(f'unknown --vis "{vis}"; {did_you_mean(vis, _VIS)}')
    kind, package = _VIS[vis]
    if find_spec(package) is None:
        raise ClipkitError(f"--vis {vis} needs the package {package}: pip install {package}")
    backends = list(cfg.visualizer.get("vis_backends") or [])
    cfg.visualizer.vis_backends = [*backends, {"type": kind}]
