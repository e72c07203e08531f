"""Plugins by name. The repository's are the subpackages of `clipkit_plugins`; another package adds one through the
entry-point group `clipkit.plugins` (`name = "package.module"`). Importing the module registers its parts."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from types import ModuleType

from clipkit.engine.register import quiet_imports
from clipkit.errors import ClipkitError, did_you_mean, one_line

ENTRY_POINT_GROUP = "clipkit.plugins"


def find_plugins() -> dict[str, Callable[[], ModuleType]]:
    """Every plugin that can be named in a config, as name -> function that imports it. Nothing is imported here."""
    found: dict[str, Callable[[], ModuleType]] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        found[point.name] = point.load
    try:
        package = importlib.import_module("clipkit_plugins")
    except ImportError:
        return found
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            # The repository's own plugin wins over a stranger's of the same name.
            found[module.name] = _importer(f"clipkit_plugins.{module.name}")
    return found


def load_plugins(names: str | Iterable[str]) -> list[ModuleType]:
    """Imports plugins, so that their models, data sets and metrics are in the registries.

    Raises:
        ClipkitError: a name that no plugin has (the line lists those that exist), or a plugin whose needs are not
            installed.
    """
    names = [names] if isinstance(names, str) else list(names)
    known = find_plugins()
    loaded = []
    for name in names:
        if name not in known:
            raise ClipkitError(f'unknown plugin "{name}"; {did_you_mean(name, known)}')
        try:
            with quiet_imports():
                loaded.append(known[name]())
        except ModuleNotFoundError as error:
            raise ClipkitError(
                f'plugin "{name}" needs the package "{error.name}", which is not installed ({one_line(error)})'
            ) from error
    return loaded


def _importer(module: str) -> Callable[[], ModuleType]:
    return lambda: importlib.import_module(module)
