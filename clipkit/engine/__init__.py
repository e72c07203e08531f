"""The bridge to mmengine: registries, plugins, the runner that survives kills, and models as Python objects.

Names load when they are first used: `clipkit.engine` alone costs nothing. It also lets mmdet, where that is imported
later, do without mmcv's compiled operators (`clipkit.mmcv_ops`).
"""

from importlib import import_module
from typing import Any

from clipkit.engine.moved import install as _install_moved
from clipkit.mmcv_ops import install as _install_mmcv_ops

_install_mmcv_ops()
_install_moved()

_HOME = {
    "AmpOptimWrapper": "clipkit.engine.amp",
    "AtomicCheckpointHook": "clipkit.engine.checkpoint_hook",
    "ClampHook": "clipkit.engine.hooks",
    "ClipkitRunner": "clipkit.engine.runner",
    "Detections": "clipkit.predict.detector",
    "Detector": "clipkit.predict.detector",
    "Draw": "clipkit.engine.sampler",
    "DistilledModel": "clipkit.hosts.distilled_model",
    "FrameStore": "clipkit.embed.frame_store",
    "FusedBackbone": "clipkit.hosts.fused_backbone",
    "ReseedHook": "clipkit.engine.hooks",
    "ResumableInfiniteSampler": "clipkit.engine.sampler",
    "SeededDataset": "clipkit.engine.sampler",
    "Segmenter": "clipkit.predict.segmenter",
    "VideoRetriever": "clipkit.predict.video_retriever",
    "build_runner": "clipkit.engine.build",
    "find_plugins": "clipkit.engine.plugins",
    "load_checkpoint": "clipkit.engine.checkpoint",
    "load_config": "clipkit.engine.config",
    "load_plugins": "clipkit.engine.plugins",
    "register_all": "clipkit.engine.register",
    "save_checkpoint": "clipkit.engine.checkpoint",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
