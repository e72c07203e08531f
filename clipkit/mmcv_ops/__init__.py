"""mmcv's compiled operators without a compiler, on CPU and GPU: torchvision and plain torch answer as `mmcv._ext`.

A plain `pip install onedl-mmcv` brings no compiled operators, and then neither `mmcv.ops` nor most of mmdet imports.
One line before the first import of mmdet or mmseg repairs that, also in every process that this one starts:

    import clipkit.engine

Nothing is written to disk. Compiled operators win where they exist and load; the environment variable
`CLIPKIT_MMCV_OPS=clipkit` sets them aside, for example where they were compiled for another GPU. An operator that is
not served here imports as well, and raises one sentence when it is called. `python -m clipkit.doctor` lists them all.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

from clipkit.errors import ClipkitError, one_line

EXTENSION = "mmcv._ext"
FAMILIES = ("boxes", "carafe", "deform", "focal", "info", "masked_conv", "msda", "nms", "psamask", "roi", "roi_samples")
# mmdet and mmseg put functions that raise in the place of mmcv's operators when these are missing at their import.
_BOUND_AT_IMPORT = ("mmdet.structures.mask", "mmdet.models", "mmseg.models")


def install() -> None:
    """Makes `import mmcv._ext` succeed in this process and in those that it starts; costs nothing until then.

    `import clipkit.engine` calls it. Warns when mmdet or mmseg was imported before and kept what raises.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    early = [name for name in _BOUND_AT_IMPORT if name in sys.modules]
    if early and "mmcv.ops" not in sys.modules:
        warnings.warn(
            f"{early[0]} was imported before clipkit, without mmcv's operators, and stays without: put "
            "`import clipkit.engine` above it",
            stacklevel=2,
        )
    sys.meta_path.insert(0, _Finder())
    # A spawned worker unpickles its parent's settings before its own arguments, which may need mmcv. A forked one
    # inherits everything anyway.
    multiprocessing.current_process()._config["clipkit"] = _Installed()  # type: ignore[attr-defined]


class _Installed:
    """Installs in the process that unpickles it."""

    def __init__(self) -> None:
        install()

    def __reduce__(self) -> tuple:
        return _Installed, ()


def served() -> dict[str, Callable[..., Any]]:
    """The operators that clipkit has: name in `mmcv._ext` -> function with the signature of the compiled one."""
    families = [importlib.import_module(f"{__name__}.{family}") for family in FAMILIES]
    return {name: getattr(family, name) for family in families for name in family.__all__}


class Substitute(ModuleType):
    """Stands for `mmcv._ext`. `clipkit_why` says why the compiled module is not in its place."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, __doc__)
        self.clipkit_why = why
        vars(self).update(served())

    def __getattr__(self, name: str) -> Callable[..., Any]:
        # mmcv asserts at import that every operator exists, and which ones it asks for differs between its versions.
        if name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

        def missing(*_: Any, **__: Any) -> None:
            raise ClipkitError(
                f"mmcv's operator {name} is not among those that clipkit serves without compiled code: install an "
                "onedl-mmcv that was compiled for this torch (python -m clipkit.doctor lists what is there)"
            )

        missing.clipkit_missing = name  # type: ignore[attr-defined]
        setattr(self, name, missing)
        return missing


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != EXTENSION:
            return None
        compiled = PathFinder.find_spec(fullname, path)
        return ModuleSpec(fullname, _Loader(compiled), origin=compiled.origin if compiled else __file__)


class _Loader(Loader):
    def __init__(self, compiled: ModuleSpec | None) -> None:
        self.compiled = compiled

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        if self.compiled is None or self.compiled.loader is None:
            return Substitute(spec.name, "mmcv was installed without compiled operators")
        if os.environ.get("CLIPKIT_MMCV_OPS") == "clipkit":
            return Substitute(spec.name, "CLIPKIT_MMCV_OPS=clipkit")
        try:
            module = module_from_spec(self.compiled)
            self.compiled.loader.exec_module(module)
        except Exception as error:  # compiled for another torch or CUDA: no symbol, no library, types defined twice …
            why = f"{self.compiled.origin} does not load: {one_line(error)}"
            warnings.warn(f"mmcv's compiled operators are left out, clipkit's are used: {why}", stacklevel=2)
            return Substitute(spec.name, why)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do: `create_module` returns a finished module."""
