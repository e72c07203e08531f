"""Fills the registries: imports every module of `clipkit.engine`, so that a new part needs no line in the core."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import pkgutil
import warnings
from collections.abc import Iterator

_OPTIONAL = ("mmseg", "mmdet", "mmcv", "decord")


def register_all() -> dict[str, str]:
    """Imports clipkit's own mmengine parts once, and mmcv's transforms where mmcv is installed.

    Returns:
        module name -> package that it lacks, for the modules that were left out.
    """
    from clipkit.engine.checkpoint import guard_pretrained
    from clipkit.engine.foreign_files import guard_files

    guard_pretrained()
    guard_files()
    rooms = ("engine", "hosts", "segmentation", "detection", "video", "classification")
    parts = [
        module.name
        for room in rooms
        for module in pkgutil.iter_modules(importlib.import_module(f"clipkit.{room}").__path__, f"clipkit.{room}.")
    ]
    missing: dict[str, str] = {}
    for name in ["mmcv.transforms", *(part for part in parts if not part.rpartition(".")[2].startswith("_"))]:
        try:
            with quiet_imports():
                importlib.import_module(name)
        except ModuleNotFoundError as error:  # noqa: PERF203
            if (error.name or "").partition(".")[0] not in _OPTIONAL:
                raise
            missing[name] = str(error.name)
    return missing


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Hides what mmcv, mmseg and mmdet say when they are imported without compiled operators or optional packages:
    some of it by warnings, some logged, some printed. clipkit needs neither."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # mmengine's loggers stand outside logging's tree: only this reaches them
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
