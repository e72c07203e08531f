"""Configs by path or by name, and `--cfg-options` that refuse what the config would never read.

mmengine silently creates a key that nothing reads, so that a typing error trains the wrong experiment for a day.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from clipkit.config_files import find_config, installed_config
from clipkit.engine import traps
from clipkit.engine.registry import ROOTS
from clipkit.errors import ClipkitError, did_you_mean, one_line

traps.find_mmseg_configs()


def _installed_base(base: str, filename: str) -> str | None:
    """`_base_ = "clipkit::lseg/lseg_folder.py"`: mmengine itself knows a list of packages and their `.mim`."""
    package, _, name = base.partition("::")
    if package != "clipkit":
        return None
    try:
        return str(installed_config(name))
    except ClipkitError as error:
        raise ClipkitError(f'{filename}: _base_ "{base}": {error}') from None


traps.find_bases_by(_installed_base)

# What mmengine reads outside a `type`'s constructor, by the key of the dict it stands in.
_RUNNER_KEYS = {*inspect.signature(Runner.__init__).parameters} - {"self", "cfg"}
_OWN_KEYS = {
    "plugins",
    "custom_imports",
    "find_unused_parameters",
    "sync_bn",
    "model_wrapper_cfg",
    "compile",
    "activation_checkpointing",
}
_HOOK_KEYS = {"runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint", "visualization"}
_LOADER_KEYS = {*inspect.signature(DataLoader.__init__).parameters, "num_batch_per_epoch"} - {"self"}
_FIXED: dict[str, set[str]] = {
    "": _RUNNER_KEYS | _OWN_KEYS,
    "default_hooks": _HOOK_KEYS,
    "env_cfg": {"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"},
    "randomness": {"seed", "deterministic", "diff_rank_seed"},
    "train_dataloader": _LOADER_KEYS,
    "val_dataloader": _LOADER_KEYS,
    "test_dataloader": _LOADER_KEYS,
}
_DEFAULT_TYPES = {"optim_wrapper": "OptimWrapper", "train_cfg": "IterBasedTrainLoop"}


def load_config(source: str | Path | Config) -> Config:
    """Reads a config: a path, or the name of one that is installed with clipkit (`lseg/lseg_tiny_shapes.py`).

    Raises:
        ClipkitError: no such config (the line lists close names), or one that Python cannot run.
    """
    if isinstance(source, Config):
        return source
    path = find_config(source)
    if path.suffix.lower() in (".yaml", ".yml"):  # its reader in mmengine makes any Python object that the text names
        raise ClipkitError(f"{path}: YAML is not read: it can run code and looks like data; write the config in Python")
    try:
        return Config.fromfile(str(path))
    except ClipkitError:
        raise
    except Exception as error:
        raise ClipkitError(f"{path}: the config cannot be read ({type(error).__name__}: {one_line(error)})") from error


def parse_options(items: Iterable[str]) -> dict[str, Any]:
    """`["a.b=1", "c=x"]` as `{"a.b": 1, "c": "x"}`. Values are Python literals; what is none is text, spaces and
    commas included; `[a, b]` without quotes is a list of texts."""
    options = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise ClipkitError(f'--cfg-options "{item}": write key=value, for example train_cfg.max_iters=100')
        options[key.strip()] = _parse_value(text)
    return options


def merge_options(config: Config, options: Mapping[str, Any]) -> None:
    """Sets dotted keys in a config, in place.

    A key must exist, or be read by what it stands in: an argument of its `type`'s constructor, a keyword of the
    runner, of a data loader. Below such a new key everything may be set.

    Raises:
        ClipkitError: nobody would read the key; the line says where the path ends and what is known there.
    """
    for key in options:
        _check_path(config, key)
    config.merge_from_dict(dict(options), allow_list_keys=True)


def constructor_arguments(kind: Any) -> set[str] | None:
    """Names that a registered class or function takes; None if it takes any (`**kwargs` without a named base)."""
    names: set[str] = set()
    for owner in inspect.getmro(kind) if inspect.isclass(kind) else (kind,):
        target = owner.__dict__.get("__init__") if inspect.isclass(owner) else owner
        if target is None:
            continue
        try:
            parameters = inspect.signature(target).parameters.values()
        except (TypeError, ValueError):
            return None
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} - {"self"}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names
    return None


def _parse_value(text: str) -> Any:
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered in ("none", "null"):
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    if text.strip()[:1] in ("[", "("):
        try:
            return traps.parse_list(text)
        except AssertionError as error:
            raise ClipkitError(f"--cfg-options: {one_line(error)}") from error
    return text


def _check_path(config: Config, key: str) -> None:
    node: Any = dict(config.items())
    done: list[str] = []
    for part in key.split("."):
        where = ".".join(done)
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                last = f"{where}.{len(node) - 1}"
                raise ClipkitError(f'--cfg-options {key}: "{where}" is a list of {len(node)}; write {where}.0 … {last}')
            if isinstance(node, tuple):  # mmengine merges into lists only
                raise ClipkitError(f'--cfg-options {key}: "{where}" is a tuple; give the whole: {where}="{node}"')
            node = node[int(part)]
        elif isinstance(node, dict):
            if part not in node:
                _check_new_key(node, part, done, key)
                return  # free below
            node = node[part]
        elif node is None and done:
            return  # an option that is off: whatever turns it on is checked by its reader
        else:
            raise ClipkitError(f'--cfg-options {key}: "{where}" is {node!r}, it has no "{part}"')
        done.append(part)


def _check_new_key(node: dict, part: str, done: list[str], key: str) -> None:
    where = ".".join(done)
    known = set(node)
    if where in _FIXED:
        known |= _FIXED[where]
    kind = node.get("type", _DEFAULT_TYPES.get(where))
    if kind is not None:
        found = _resolve(kind)
        if not found:
            return  # the type itself is wrong, or built by other rules: building will say so
        for candidate in found:
            names = constructor_arguments(candidate)
            if names is None:
                return
            known |= names
    for beside, before in (("clip", "pretrained"), ("on_bad", "broken")):
        if beside in node and (where != "variables" or before == "broken"):
            known.add(before)  # as configs were written, read until 1.0
    if part not in known:
        place = f'"{where}"' if where else "the config"
        raise ClipkitError(f'--cfg-options {key}: {place} has no "{part}"; {did_you_mean(part, known - {"type"})}')


def _resolve(kind: Any) -> list[Any]:
    if not isinstance(kind, str):
        return [kind]
    found = []
    for root in ROOTS:
        child = root.children.get("clipkit", root)
        try:
            item = child.get(kind)
        except Exception:  # mmengine raises whatever the failed look-up raised
            continue
        if item is not None and item not in found:
            found.append(item)
    return found
