"""Fills the registries: imports every module of `clipkit.engine`, so that a new part needs no line in the core."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import warnings

_OPTIONAL = ("mmseg", "mmdet", "mmcv", "decord")
_missing: dict[str, str] = {}


def register_all() -> dict[str, str]:
    """Imports clipkit's own mmengine parts once, and mmcv's transforms where mmcv is installed.

    Returns:
        module name -> package that it lacks, for the modules that were left out.
    """
    import clipkit.engine

    _quiet_import("mmcv.transforms")
    for module in pkgutil.iter_modules(clipkit.engine.__path__, "clipkit.engine."):
        if module.name.rpartition(".")[2].startswith("_"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in _OPTIONAL:
                raise
            _missing[module.name] = str(error.name)
    return dict(_missing)


def _quiet_import(name: str) -> None:
    """Without compiled operators mmcv and mmseg warn at import; clipkit does not use those operators here."""
    logging.getLogger("mmcv").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            _missing[name] = str(error.name)
