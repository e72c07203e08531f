"""Configs by path or by name, and `--cfg-options` that refuse what the config would never read.

mmengine silently creates a key that nothing reads, so that a typing error trains the wrong experiment for a day.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from clipkit.config_files import find_config, installed_config
from clipkit.engine import traps
from clipkit.engine.option_values import Options, parse_options
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
_TEXTS = {"work_dir", "load_from", "experiment_name", "log_level", "launcher"}  # of the runner
_DEFAULT_TYPES = {"optim_wrapper": "OptimWrapper", "train_cfg": "IterBasedTrainLoop"}


__all__ = ["constructor_arguments", "find_config", "load_config", "merge_options", "parse_options"]


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


def merge_options(config: Config, options: Mapping[str, Any]) -> None:
    """Sets dotted keys in a config, in place.

    A key must exist, or be read by what it stands in: an argument of its `type`'s constructor, a keyword of the
    runner, of a data loader. Below such a new key everything may be set.

    A scalar that was written where a text stands stays the text that it was (`Options.for_text`).

    Raises:
        ClipkitError: nobody would read the key; the line says where the path ends and what is known there.
    """
    changes = dict(options)
    for key in options:
        _check_path(config, key)
        _check_read(config, key, options)
        if isinstance(options, Options) and key in options.texts:
            wanted, now = _text_at(config, key)
            changes[key] = options.for_text(key, now) if wanted else options[key]
    config.merge_from_dict(changes, allow_list_keys=True)


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


def _check_path(config: Config, key: str) -> None:
    node: Any = dict(config.items())
    done: list[str] = []
    for part in key.split("."):
        where = ".".join(done)
        if isinstance(node, (list, tuple)):
            if not re.fullmatch("[0-9]{1,9}", part) or int(part) >= len(node):
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


def _check_read(config: Config, key: str, options: Mapping[str, Any]) -> None:
    """Refuses a name that only the config's own lines used while they ran. Running them again with another value would
    need their source to be rewritten, in every file that `_base_` names; what they made can be set instead."""
    name, _, rest = key.partition(".")
    tree = dict(config.items())
    if name == "variables" and rest.partition(".")[0] in (tree.get(name) or {}):
        variable = rest.partition(".")[0]
        if not any("{" + variable + "}" in text for text in _texts([tree, *options.values()])):
            raise ClipkitError(
                f'--cfg-options {key}: nothing in the config reads "{{{variable}}}", it would do nothing'
            )
    if name not in tree or name in _FIXED[""] | {"variables"}:
        return
    made = [f"{place}{rest and '.' + rest}" for place in _places(tree, tree[name])]
    hint = f"set what it became: {', '.join(made[:4])}" if made else "set what it became"
    raise ClipkitError(f'--cfg-options {key}: "{name}" is used only while the config runs; {hint}')


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, (dict, list, tuple)):
        for item in node.values() if isinstance(node, dict) else node:
            yield from _texts(item)


def _places(node: Any, value: Any, path: str = "") -> Iterator[str]:
    """Dotted keys of what the runner reads that hold this value."""
    for key, item in node.items() if isinstance(node, dict) else enumerate(node):
        if path or key in _FIXED[""]:
            place = f"{path}.{key}".lstrip(".")
            if type(item) is type(value) and item == value:
                yield place
            elif isinstance(item, (dict, list, tuple)):
                yield from _places(item, value, place)


def _text_at(config: Config, key: str) -> tuple[bool, str | None]:
    """Whether a text stands at the key now, or its reader wants one; and that text."""
    node: Any = dict(config.items())
    *path, last = key.split(".")
    for part in path:
        if isinstance(node, (list, tuple)):
            node = node[int(part)]
        else:
            node = node.get(part) if isinstance(node, dict) else None
    if not isinstance(node, (dict, list, tuple)):
        return False, None
    now = node.get(last) if isinstance(node, dict) else node[int(last)]
    if isinstance(now, str) and now[:1] + now[-1:] == "{}":
        now = (config.get("variables") or {}).get(now[1:-1], now)
    if isinstance(now, str):
        return True, now
    if now is not None or not isinstance(node, dict):
        return False, None
    kinds = _resolve(node.get("type"))
    return (last in _TEXTS if not path else any(last in _text_arguments(kind) for kind in kinds)), None


def _text_arguments(kind: Any) -> set[str]:
    """Arguments that are annotated as a text or a path and nothing else."""
    owners = inspect.getmro(kind) if inspect.isclass(kind) else (kind,)
    targets = [owner.__dict__.get("__init__") if inspect.isclass(owner) else owner for owner in owners]
    found = set()
    for target in filter(inspect.isfunction, targets):
        for name, annotation in target.__annotations__.items():
            words = set(re.findall(r"\w+", annotation if isinstance(annotation, str) else repr(annotation)))
            if words & {"str", "Path"} and words <= {"str", "Path", "None", "class", "pathlib", "Optional", "typing"}:
                found.add(name)
    return found


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
        return [] if kind is None else [kind]
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
