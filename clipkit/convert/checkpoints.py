"""Checkpoints between a plugin's original and clipkit.

A plugin offers it by the attribute `convert` of its module:

    convert(state: dict[str, Tensor], reverse: bool, original: dict[str, Tensor] | None) -> Converted

`state` is the state dict of the file IN, `original` that of `--original` (with `reverse` only). Every key must be used
or be named in `Converted.notes`; what does not fit raises `ClipkitError` without the file's name, which is added here.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from clipkit import __version__
from clipkit.engine.checkpoint import save_checkpoint
from clipkit.engine.plugins import load_plugins
from clipkit.errors import ClipkitError
from clipkit.safe import load_tensors

# PyTorch Lightning before 1.5 keeps the state of its callbacks under their classes. This class of the same name does
# nothing, and stands for it while the file is read.
_CALLBACK = type("ModelCheckpoint", (), {"__module__": "pytorch_lightning.callbacks.model_checkpoint"})


class Converted(NamedTuple):
    """What a plugin's `convert` returns.

    Attributes:
        state: the state dict of the file OUT.
        notes: lines for the person: what was left out or is missing, and what to do with the file.
        file: where the state dict lies in a file of the original: under "state_dict", "flat", or the names of several
            that lie side by side, with which the keys here begin (see `read_state`).
    """

    state: dict[str, Tensor]
    notes: list[str]
    file: str | tuple[str, ...] = "state_dict"


def convert_file(
    plugin: str, source: str | Path, target: str | Path, reverse: bool = False, original: str | Path | None = None
) -> list[str]:
    """Converts a file; returns lines that say what was done.

    Raises:
        ClipkitError, ValueError, FileNotFoundError: the plugin has no converter, or a file does not fit; in one line.
    """
    module = load_plugins(plugin)[0]
    if not callable(getattr(module, "convert", None)):
        raise ClipkitError(f'plugin "{plugin}" has no converter')
    target = Path(target)
    if target.exists():
        raise ClipkitError(f"{target}: exists already; give another name, or remove it")
    state = read_state(source)
    kept = None if original is None else read_state(original)
    try:
        converted = module.convert(state, reverse, kept)
    except ClipkitError as error:
        raise ClipkitError(f"{source}: {error}") from error
    content: dict = _laid_out(converted) if reverse else {"state_dict": converted.state}
    if not reverse:
        content["meta"] = {"format": "clipkit/1", "clipkit": __version__, "converted_from": Path(source).name}
    save_checkpoint(content, target)
    return [f"{target}: {len(converted.state)} weights of {len(state)} in {source}", *converted.notes]


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a file, read without running anything of it. Several that lie side by side, as in
    `{"model_state_dict": …, "fusion_model_state_dict": …}`, become one whose keys begin with their names.

    Raises:
        ClipkitError, ValueError, FileNotFoundError: no checkpoint, or one that holds more than tensors and plain values
            (a Lightning file with pickled hyper-parameters is refused).
    """
    content = load_tensors(path, allowed=[_CALLBACK])
    wrapped = content["model"] if isinstance(content.get("model"), dict) else content
    state = content.get("state_dict", wrapped)
    parts = {name: part for name, part in content.items() if str(name).endswith("model_state_dict")}
    if parts and all(isinstance(part, dict) for part in parts.values()):
        state = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.items()}
    if not isinstance(state, dict) or not state:
        raise ClipkitError(f"{path}: holds no state dict")
    strange = [key for key, value in state.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if strange:
        what = type(state[strange[0]]).__name__
        raise ClipkitError(f"{path}: holds no state dict: its entry {strange[0]!r} is a {what}, not a tensor")
    return dict(state)


def _laid_out(converted: Converted) -> dict:
    if converted.file == "flat":
        return dict(converted.state)
    if converted.file == "state_dict":
        return {"state_dict": converted.state}
    return {
        part: {key.removeprefix(f"{part}."): v for key, v in converted.state.items() if key.startswith(f"{part}.")}
        for part in converted.file
    }
