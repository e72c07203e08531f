"""Documented modules that left `clipkit.engine`: their old names import until 1.0, with a warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_ENGINE = "clipkit.engine."
# Old name -> where its names are now, a module or several.
MOVED: dict[str, tuple[str, ...]] = {
    "claim_c3": ("clipkit_plugins.clip.claim_prompts",),
    "claim_curve": ("clipkit.claims.curve",),
    "embed_frames": (
        "clipkit.embed.videos",
        "clipkit.embed.captions",
        "clipkit.embed.encoder",
        "clipkit.embed.frame_source",
    ),
    "embed_regions": ("clipkit.embed.regions", "clipkit.embed.encoder"),
    "image_features": ("clipkit.embed.images",),
    "mmcv_ops": ("clipkit.mmcv_ops",),
    "provenance": ("clipkit.provenance",),
    "search_index": ("clipkit.search.index", "clipkit.search.media"),
    "teacher_store": ("clipkit.embed.region_store",),
    "video_texts": ("clipkit.video.datasets", "clipkit.data.padding"),
}


def install() -> None:
    """Makes the old names importable; costs nothing until one is imported. `import clipkit.engine` calls it."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())  # before what would find a moved package's files a second time


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        old, _, below = fullname.removeprefix(_ENGINE).partition(".")
        if not fullname.startswith(_ENGINE) or old not in MOVED:
            return None
        homes = [f"{home}.{below}" if below else home for home in MOVED[old]]
        return ModuleSpec(fullname, _Loader(homes))


class _Loader(Loader):
    def __init__(self, homes: Sequence[str]) -> None:
        self.homes = homes

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        # Of a category that Python shows by default; its own frames of the import are not counted.
        message = f"{old} is now {' and '.join(self.homes)}; the old name will be gone in clipkit 1.0"
        warnings.warn(message, FutureWarning, stacklevel=2)
        homes = [import_module(home) for home in self.homes]
        if len(homes) == 1:
            sys.modules[old] = homes[0]  # the import system takes what stands there: the very same module
            return
        for home in reversed(homes):  # where two have a name, the first one's
            vars(module).update({name: value for name, value in vars(home).items() if not name.startswith("__")})
