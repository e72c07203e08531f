"""A work folder as a model: training leaves in it all that is needed to predict, so that nobody has to remember which
config and which options it was trained with.

`trained/config.py` is the whole config after options; label files and rows of embeddings that it names lie beside it
and are named by `{{ fileDirname }}`, so that the folder may be moved. Weights of a CLIP are named, not copied.
"""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import Any

from mmengine.config import Config

from clipkit.engine.checkpoint import find_checkpoints
from clipkit.errors import ClipkitError, some
from clipkit.files import write_text

RECORD = Path("trained") / "config.py"
_HERE = "{{ fileDirname }}"
_COPIED = (".txt", ".json", ".npy", ".npz")  # label files, rows of embeddings with their names
_BEHIND = re.compile(r":[rcf]+$")  # LVIS's frequencies behind a file's name, see `read_classes`


def record_config(cfg: Config, text: str, work_dir: str | Path) -> None:
    """Writes the record; `text` is the config's, which takes a while to format."""
    folder = (Path(work_dir) / RECORD).parent
    folder.mkdir(parents=True, exist_ok=True)
    copied: dict[str, str] = {}  # name in the folder -> path
    for value in sorted(_strings(cfg.get("model"))):
        source = Path(_BEHIND.sub("", value))
        if source.suffix.lower() not in _COPIED or not source.is_file():
            continue
        name = _free(source.name, str(source), copied)
        for file, target in ((source, name), *_names_of(source, name)):
            if file.resolve() != (folder / target).resolve():  # training may go on from its own record
                shutil.copyfile(file, folder / target)
        text = text.replace(repr(value), repr(f"{_HERE}/{name}{value[len(str(source)) :]}"))
    write_text(folder / RECORD.name, text)


def find_record(work_dir: str | Path) -> Path:
    """The config of a work folder: the record, or the one that training wrote there before there were records.

    Raises:
        ClipkitError: there is none, or more than one.
    """
    folder = Path(work_dir)
    if (folder / RECORD).is_file():
        return folder / RECORD
    found = sorted(folder.glob("*.py"))
    if len(found) == 1:
        return found[0]
    what = f"several configs ({some([file.name for file in found], 3)})" if found else "no config"
    raise ClipkitError(f"{folder}: this folder holds {what}: give a config and a checkpoint instead of the folder")


def newest_checkpoint(work_dir: str | Path) -> Path:
    """The newest checkpoint of a work folder.

    Raises:
        ClipkitError: it holds no checkpoint.
    """
    found = find_checkpoints(work_dir)
    if not found:
        raise ClipkitError(f"{work_dir}: holds no checkpoint (iter_*.pth): has its training written one yet?")
    return found[0]


def read_record(path: str | Path) -> Config:
    """Reads a config that holds nothing but names and values, as training writes it. Unlike a config that a person
    wrote it is not run: a work folder may be somebody else's.

    Raises:
        ClipkitError: it holds code.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8").replace(_HERE, path.parent.as_posix())
    try:
        values = {}
        for node in ast.parse(text).body:
            if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                raise ValueError(f"line {node.lineno} is no NAME = VALUE")
            values[node.targets[0].id] = _value(node.value)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        line = f"{path}: holds more than names and values ({str(error)[:80]})"
        raise ClipkitError(f"{line}: give it as CONFIG, and the folder as CHECKPOINT, if you trust it") from None
    return Config(values, filename=str(path))


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        plain = ast.unparse(node.func) == "dict" and all(word.arg for word in node.keywords)
        if not plain or not all(isinstance(arg, ast.Dict) for arg in node.args[:1]) or len(node.args) > 1:
            raise ValueError(f"line {node.lineno} calls something")
        braces = _value(node.args[0]) if node.args else {}  # keys that are no words
        return {**braces, **{word.arg: _value(word.value) for word in node.keywords}}
    if isinstance(node, ast.Dict) and all(node.keys):
        return {ast.literal_eval(key): _value(item) for key, item in zip(node.keys, node.values) if key is not None}
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    return ast.literal_eval(node)


def _strings(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {text for item in value.values() for text in _strings(item)}
    if isinstance(value, (list, tuple)):
        return {text for item in value for text in _strings(item)}
    return {value} if isinstance(value, str) and len(value) < 4096 else set()


def _free(name: str, path: str, taken: dict[str, str]) -> str:
    """A name that no other file of the record has, and no other's names beside it."""
    number, free = 1, name
    while any(Path(other).stem == Path(free).stem for other, of in taken.items() if of != path):
        number += 1
        free = f"{Path(name).stem}-{number}{Path(name).suffix}"
    taken[free] = path
    return free


def _names_of(source: Path, target: str) -> list[tuple[Path, str]]:
    """The file of names beside rows of embeddings, under the rows' name."""
    if source.suffix.lower() not in (".npy", ".npz"):
        return []
    beside = [source.with_suffix(ending) for ending in (".json", ".txt")]
    return [(file, Path(target).with_suffix(file.suffix).name) for file in beside if file.is_file()]
