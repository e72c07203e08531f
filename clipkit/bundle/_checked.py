"""A config as data: JSON with tuples, and what of it may be built. Whatever is not allowed here is refused before
anything is built, in one line that names it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from clipkit.bundle._types import is_allowed
from clipkit.engine.plugins import find_plugins, load_plugins
from clipkit.errors import ClipkitError, shown

HERE = "{bundle}"
"""Stands for the bundle's folder at the start of a text, `{bundle}/files/rows.npy`; `local-dir:` may go before it."""
_TUPLE = "()"  # JSON has none, and mmcv tells one from a list
_LARGEST = 1 << 53  # of whole numbers, as in any reader of JSON
_DEEPEST = 40
_TOP = ("default_scope", "plugins", "model", "test_dataloader")
_SCOPES = ("clipkit", "mmseg", "mmdet", "mmengine")
# Keys whose values mmengine or a model would act on: other modules, downloads, folders that are written to.
_REFUSED = frozenset(("init_cfg", "custom_imports", "cache_dir", "checkpoint", "load_from"))
# Keys under which a model opens a file; one of them (questions' vocabulary) is written where it is not there.
_FILES = frozenset(("file", "path", "folder", "questions", "annotations", "vocab"))
_HUB = re.compile(r"\s*hf[-_]hub:")  # in the name of a CLIP alone: timm would take it too
_PATH = re.compile(
    r"\s*(?:[/~\\]|[A-Za-z]:[/\\]|\.{1,2}[/\\]|local-dir:|file:|\w[\w+.-]*://)|(?:.*[/\\])?\.\.(?:[/\\].*)?$"
)
_LAMBDA = re.compile(r"\s*lambda\b[^:]*:")
NAME_LISTS = ("classes", "labels")
"""Ends of keys whose lists hold names: `/m/01g317` is one of Open Images', and no list is ever opened as a file."""


def pack(value: Any, place: str = "") -> Any:
    """Plain values as JSON has them.

    Raises:
        ClipkitError: a value that is none.
    """
    if isinstance(value, dict):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise ClipkitError(f"{place}: has the key {odd[0]!r}, and a bundle holds texts as keys alone")
        return {key: pack(item, f"{place}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, tuple):
        return {_TUPLE: [pack(item, f"{place}.{i}") for i, item in enumerate(value)]}
    if isinstance(value, list):
        return [pack(item, f"{place}.{i}") for i, item in enumerate(value)]
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise ClipkitError(f"{place}: is a {type(value).__name__}, and a bundle holds plain values alone")


def unpack(value: Any, path: object, depth: int = 0) -> Any:
    """What `pack` was given.

    Raises:
        ClipkitError: values in values without end.
    """
    if depth > _DEEPEST:
        raise ClipkitError(f"{path}: its config is nested more than {_DEEPEST} times")
    if isinstance(value, dict):
        if value.keys() == {_TUPLE} and isinstance(value[_TUPLE], list):
            return tuple(unpack(item, path, depth + 1) for item in value[_TUPLE])
        return {key: unpack(item, path, depth + 1) for key, item in value.items()}
    return [unpack(item, path, depth + 1) for item in value] if isinstance(value, list) else value


def check_config(config: Any, files: Collection[str], path: object) -> None:
    """Looks at an unpacked config; its plugins are loaded, if all of them are installed.

    Args:
        files: of the bundle, which it may name.
        path: to name it.

    Raises:
        ClipkitError: something that a bundle's config may not hold.
    """
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict) or set(config) - set(_TOP):
        raise ClipkitError(f"{path}: its config is not `model` beside {', '.join(_TOP[:2])} and {_TOP[3]}")
    plugins, scope = config.get("plugins", []), config.get("default_scope", "clipkit")
    known = find_plugins()
    for name in plugins if isinstance(plugins, list) else [plugins]:
        if not isinstance(name, str) or name not in known:
            raise ClipkitError(f"{path}: needs the plugin {shown(repr(name))}, which is not installed here")
    if scope not in _SCOPES:
        raise ClipkitError(f"{path}: its default_scope is {shown(repr(scope))}, and {', '.join(_SCOPES)} are known")
    parts = {key: config[key] for key in ("model", "test_dataloader") if key in config}
    for place, key, value in _walk(parts):
        if reason := _refusal(place, key, value, files):  # before a plugin is imported
            raise ClipkitError(f"{path}: {shown(place, 120)} {reason}")
    load_plugins(plugins)
    for place, key, value in _walk(parts):
        if key == "type" and not is_allowed(value):
            raise ClipkitError(
                f"{path}: {shown(place, 120)} is {shown(repr(value), 80)}, which is no part that a bundle may name: "
                "refused; nothing was built"
            )


def _walk(node: Any, place: str = "", key: str = "") -> Iterator[tuple[str, str, Any]]:
    """(dotted place, key or that of the list around it, value) of everything but the texts in lists of names."""
    if isinstance(node, dict):
        for name, item in node.items():
            inner = f"{place}.{name}".lstrip(".")
            yield inner, str(name), item
            yield from _walk(item, inner, str(name))
    elif isinstance(node, (list, tuple)):
        for number, item in enumerate(node):
            inner = f"{place}.{number}"
            if not isinstance(item, str) or not key.endswith(NAME_LISTS):
                yield inner, key, item
            yield from _walk(item, inner, key)


def _refusal(place: str, key: str, value: Any, files: Collection[str]) -> str:
    if key.startswith("_") or key in _REFUSED:
        return "is a key that a bundle may not have"
    if isinstance(value, bool):
        return "asks for a download of weights, which a bundle brings" if key == "pretrained" and value else ""
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "is too large a number"
    if isinstance(value, float) and not math.isfinite(value):
        return "is no finite number"
    if not isinstance(value, str):
        return ""
    if key in _FILES and value and not value.startswith(f"{HERE}/"):
        return f"names a file outside of the bundle, {shown(repr(value), 80)}: refused"
    if _HUB.match(value) and not place.endswith((".clip", ".clip.name")):
        return f"asks for a download, {shown(repr(value), 80)}: refused"
    return _text_refusal(value, files)


def _text_refusal(text: str, files: Collection[str]) -> str:
    if _LAMBDA.match(text):
        return "is code, and a bundle holds data alone"
    inside = text.removeprefix("local-dir:")
    if inside.startswith(HERE):
        name = inside.removeprefix(f"{HERE}/")
        held = f"{name}/open_clip_config.json" if text.startswith("local-dir:") else name
        return "" if held in files else f"names {shown(repr(text), 80)}, which is not among the bundle's files"
    if _PATH.match(text) or _is_file(text):
        return f"names a file or address outside of the bundle, {shown(repr(text), 80)}: refused"
    return ""


def _is_file(text: str) -> bool:
    try:
        return len(text) < 4096 and Path(text).is_file()
    except (OSError, ValueError):  # as names no system takes
        return False


def placed(value: Any, folder: Path) -> Any:
    """The config with the bundle's folder for `{bundle}`."""
    if isinstance(value, dict):
        return {key: placed(item, folder) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(placed(item, folder) for item in value)
    if isinstance(value, str) and value.removeprefix("local-dir:").startswith(f"{HERE}/"):
        return value.replace(HERE, folder.as_posix(), 1)
    return value


def clips_in(node: Any) -> Iterator[dict[str, Any]]:
    """Options (`name`, `pretrained`, …) of every CLIP that a config names."""
    if isinstance(node, dict):
        clip = node.get("clip")
        if isinstance(clip, str):
            yield {"name": clip, "pretrained": node.get("pretrained")}
        elif isinstance(clip, dict) and isinstance(clip.get("name"), str):
            yield clip
        for item in node.values():
            yield from clips_in(item)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from clips_in(item)
