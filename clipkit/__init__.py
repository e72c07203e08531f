"""clipkit: adapt a frozen CLIP to vision tasks.

Names load when they are first used, so that `import clipkit` costs nothing.
"""

import os
from importlib import import_module
from typing import Any

# What OpenCV, which mmcv reads pictures with, decodes at most; Pillow's limit. It looks here once, when it is imported.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(178_956_970))

__version__ = "0.2.0"

_HOME = {
    "CLIPTeacher": "adapters",
    "ClipkitError": "errors",
    "ContrastiveLoss": "adapters",
    "Detector": "engine",
    "Features": "backbone",
    "FrozenCLIP": "backbone",
    "Fusion": "adapters",
    "SearchIndex": "search.index",
    "Segmenter": "engine",
    "Store": "store",
    "TextBank": "text",
    "TextEmbeddings": "text",
    "TunableCLIP": "backbone",
    "Vocabulary": "text",
    "classify": "predict.quick",
    "example": "predict.quick",
    "find": "predict.quick",
    "load_embeddings": "text",
    "pool_boxes": "adapters",
    "pool_masks": "adapters",
    "save_open_clip_folder": "backbone",
    "segment": "predict.quick",
}
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
