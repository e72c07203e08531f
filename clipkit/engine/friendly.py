"""Turns the errors of registries and constructors, which mmengine passes on raw, into one line of what is known."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.registry.registry import Registry

from clipkit.engine.config import constructor_arguments
from clipkit.engine.register import register_all
from clipkit.engine.traps import failed_build, failed_look_up
from clipkit.errors import ClipkitError, did_you_mean, one_line

_BAD_ARGUMENT = re.compile(r"(?:got an )?unexpected keyword argument '(\w+)'")
_CONSTRUCTOR_ERRORS = (ValueError, TypeError, FileNotFoundError, NotADirectoryError, ImportError, AssertionError)
_MISSING_ARGUMENT = re.compile(r"missing \d+ required (?:positional|keyword-only) arguments?: (.+)")


@contextmanager
def friendly_build() -> Iterator[None]:
    """Re-raises as `ClipkitError`: an unknown registry type, a constructor argument that does not exist or is missing,
    and what constructors say about their values. Other errors pass unchanged."""
    try:
        yield
    except ClipkitError:
        raise
    except Exception as error:
        # mmengine's call_hook re-raises a TypeError `from None`; what it hides is still the context.
        message = explain(error) or (explain(error.__context__) if error.__context__ else None)
        if message is None:
            raise
        raise ClipkitError(message) from error


def explain(error: BaseException) -> str | None:
    """One line for an error that came out of building from a config; None if it is no such error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames:
        return None
    last = frames[-1]
    if look_up := failed_look_up(last):
        return _unknown_type(*look_up)
    builds = [(frame, found) for frame in frames if (found := failed_build(frame))]
    if not builds:
        return None
    building, (registry, key, kind) = builds[-1]
    if kind is None:
        is_look_up = isinstance(error, KeyError) and isinstance(key, str) and last is building
        return _unknown_type(registry, key) if is_look_up else None
    # The call itself failed only if no frame of the constructor was entered.
    if isinstance(error, TypeError) and (last is building or last.f_code.co_name in ("__call__", "get_instance")):
        return _bad_call(kind, str(error))
    if isinstance(error, _CONSTRUCTOR_ERRORS):
        return f"{getattr(kind, '__name__', kind)}: {one_line(error)}"
    return None


def _unknown_type(registry: Registry, key: str) -> str:
    register_all()  # so that the line can say what there is, also in rooms that this config did not need
    root = registry.root
    scope, name = Registry.split_scope_key(key)
    kind = root.name
    scopes = {item.scope: item for item in (root, *root.children.values())}
    if scope is not None and scope not in scopes:
        if scope in ("mmseg", "mmdet", "mmcv", "mmpretrain"):
            extra = {"mmseg": "seg", "mmdet": "det"}.get(scope, "seg")
            return f'{kind} "{key}" needs {scope}, which is not installed: pip install -e ".[{extra}]"'
        return f'no {kind} "{key}": there is no scope "{scope}"; {did_you_mean(scope, scopes)}'
    if scope is None:
        known = {*root.module_dict, *scopes.get("clipkit", root).module_dict}
        elsewhere = sorted(f"{other}.{name}" for other, item in scopes.items() if name in item.module_dict)
        if elsewhere:
            return f'no {kind} "{key}" in clipkit; write "{elsewhere[0]}"'
    else:
        known = {f"{scope}.{item}" for item in scopes[scope].module_dict}
    return f'no {kind} "{key}"; {did_you_mean(key, known)} (is its plugin in the config\'s `plugins`?)'


def _bad_call(kind: Any, message: str) -> str | None:
    name = getattr(kind, "__name__", str(kind))
    known = constructor_arguments(kind) or set()
    bad = _BAD_ARGUMENT.search(message)
    if bad:
        return f'{name} has no argument "{bad[1]}"; {did_you_mean(bad[1], known)}'
    missing = _MISSING_ARGUMENT.search(message)
    if missing:
        return f"{name} needs {missing[1]}; its arguments: {', '.join(sorted(known))}"
    return f"{name}: {one_line(message)}"
