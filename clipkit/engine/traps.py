"""What clipkit touches of mmengine, mmseg and mmdet that they promise to nobody: private names, variables of modules,
names of local variables. All were seen in onedl-mmengine 0.10.12, onedl-mmsegmentation 1.4.2 and onedl-mmdetection
3.5.1; tests/engine/test_traps.py fails where one is gone or means something else."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any

from mmengine.config import Config, utils
from mmengine.registry.build_functions import build_from_cfg
from mmengine.registry.registry import Registry
from mmengine.runner import checkpoint

# Private methods that subclasses in clipkit and its plugins replace or extend: where they are, and their parameters.
OVERRIDDEN = {
    "mmengine.runner:Runner._log_env": ("self", "env_cfg"),
    "mmengine.runner:Runner._init_model_weights": ("self",),
    "mmengine.hooks:CheckpointHook._save_checkpoint_with_step": ("self", "runner", "step", "meta"),
    "mmengine.hooks:CheckpointHook._save_best_checkpoint": ("self", "runner", "metrics"),
    "mmseg.models.segmentors:BaseSegmentor._forward": ("self", "inputs", "data_samples"),
    "mmdet.models.roi_heads:StandardRoIHead._bbox_forward": ("self", "x", "rois"),
}
# How records of mmengine's log end or begin that are noise: one a parameter.
FROZEN_PARAMETER = "is skipped since its requires_grad=False"
PARAMETER_OPTION = "paramwise_options"


# ---- configs and registries -----------------------------------------------------------------------------------------


def find_mmseg_configs() -> None:
    """Makes `_base_ = "mmseg::…"` work: mmengine asks for the distribution `mmsegmentation`, which today is
    `onedl-mmsegmentation`, and takes the package's name as well."""
    utils.MODULE2PACKAGE["mmseg"] = "mmseg"


def find_bases_by(find: Callable[[str, str], str | None]) -> None:
    """Lets `find(base, filename)` say which file an entry of `_base_` is; where it says None, mmengine does."""
    given = Config._get_cfg_path

    def path(base: str, filename: str) -> tuple[str, str | None]:
        found = find(base, filename)
        return given(base, filename) if found is None else (found, None)

    Config._get_cfg_path = staticmethod(path)


def failed_look_up(frame: FrameType) -> tuple[Registry, str] | None:
    """The registry and the key, where a frame is that of `Registry.get`."""
    if frame.f_code is not Registry.get.__code__:
        return None
    return frame.f_locals["self"], str(frame.f_locals["key"])


def failed_build(frame: FrameType) -> tuple[Registry, Any, Any] | None:
    """The registry, the `type` of the config and the class found for it (None before it is), where a frame is that of
    `build_from_cfg`."""
    if frame.f_code is not build_from_cfg.__code__:
        return None
    local = frame.f_locals
    return local["registry"], local.get("obj_type"), local.get("obj_cls")


# ---- the runner -----------------------------------------------------------------------------------------------------


def rename_timestamp(runner: Any, timestamp: str) -> None:
    """Sets what `runner.timestamp` gives, which names logs and visualisers, before they are built."""
    runner._timestamp = timestamp


def start_of(runner: Any) -> tuple[str | None, bool]:
    """A runner's arguments `load_from` and `resume`."""
    return runner._load_from, runner._resume


def is_for_training(runner: Any) -> bool:
    """Whether the runner was given a training loop; `runner.train_loop` would build it."""
    return runner._train_loop is not None


def has_loaded(runner: Any) -> bool:
    """Whether weights are loaded, so that `load_or_resume` has nothing to do."""
    return runner._has_loaded


def set_loaded(runner: Any) -> None:
    """See `has_loaded`."""
    runner._has_loaded = True


def go_to(loop: Any, epoch: int, iteration: int) -> None:
    """Sets where a training loop goes on."""
    loop._epoch, loop._iter = epoch, iteration


def accumulated_steps(optim_wrapper: Any) -> int:
    """Iterations whose gradients are summed up for a step."""
    return getattr(optim_wrapper, "_accumulative_counts", 1)


def clip_gradients(optim_wrapper: Any) -> None:
    """Clips as the wrapper's `clip_grad` says, and logs the norm."""
    optim_wrapper._clip_grad()


def read_pretrained_by(reader: Callable[..., Any]) -> None:
    """Gives mmengine another `torch.load(file, map_location=None, weights_only=None)`."""
    checkpoint._safe_torch_load = reader


def read_addresses_by(reader: Callable[..., Any]) -> None:
    """Gives mmengine another `load_url(url, **options)`, which brings weights from an address."""
    checkpoint.load_url = reader


# ---- data -----------------------------------------------------------------------------------------------------------


def normalises(preprocessor: Any) -> bool:
    """Whether a data preprocessor takes `mean` and `std` off: only then has it such buffers."""
    return getattr(preprocessor, "mean", None) is not None


def swaps_channels(preprocessor: Any) -> bool:
    """Whether a data preprocessor swaps red and blue, in either direction: there is one flag for both."""
    return getattr(preprocessor, "_channel_conversion", False)


def update_metainfo(dataset: Any, values: dict[str, Any]) -> None:
    """Adds to what `dataset.metainfo` gives a copy of, while a data set reads its files."""
    dataset._metainfo.update(values)
