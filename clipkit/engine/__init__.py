"""The bridge to mmengine: registries, plugins, the runner that survives kills, and models as Python objects.

Names load when they are first used: `clipkit.engine` alone costs nothing. It also lets mmdet, where that is imported
later, do without mmcv's compiled operators (`clipkit.engine.mmcv_ops`).
"""

from importlib import import_module
from typing import Any

from clipkit.engine.mmcv_ops import install as _install_mmcv_ops

_install_mmcv_ops()

_HOME = {
    "AmpOptimWrapper": "amp",
    "AtomicCheckpointHook": "checkpoint_hook",
    "ClampHook": "hooks",
    "ClipkitRunner": "runner",
    "Detections": "detector",
    "Detector": "detector",
    "Draw": "sampler",
    "DistilledModel": "distilled_model",
    "FrameStore": "frame_store",
    "FusedBackbone": "fused_backbone",
    "ReseedHook": "hooks",
    "ResumableInfiniteSampler": "sampler",
    "SeededDataset": "sampler",
    "Segmenter": "segmenter",
    "VideoRetriever": "video_retriever",
    "build_runner": "build",
    "find_plugins": "plugins",
    "load_checkpoint": "checkpoint",
    "load_config": "config",
    "load_plugins": "plugins",
    "register_all": "register",
    "save_checkpoint": "checkpoint",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
