"""Config files by name: one's own, and those that are installed with clipkit."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from clipkit.errors import ClipkitError, did_you_mean


def find_config(name: str | Path) -> Path:
    """The file of a config name; a file in the working folder comes before one that is installed.

    Raises:
        ClipkitError: no such config; the line lists close names.
    """
    path = Path(name)
    return path if path.is_file() else installed_config(name)


def installed_config(name: str | Path) -> Path:
    """The file of a config that is installed with clipkit: `lseg/lseg_folder.py`, also as `configs/lseg/lseg_folder`.

    Raises:
        ClipkitError: no such config; the line lists close names.
    """
    path = Path(name)
    relative = Path(*path.parts[1:]) if path.parts[:1] == ("configs",) else path
    if not relative.suffix:
        relative = relative.with_suffix(".py")
    for folder in _folders():
        if (folder / relative).is_file():
            return folder / relative
    near = did_you_mean(relative.as_posix(), installed_configs(), limit=4)
    raise ClipkitError(f"no config {name}; {near}; `clipkit list configs` has all")


def installed_configs() -> dict[str, Path]:
    """Name -> file of every installed config, sorted, without those that only serve as a base."""
    found = {file.relative_to(folder).as_posix(): file for folder in _folders() for file in folder.rglob("*.py")}
    return {name: found[name] for name in sorted(found) if not name.startswith("_") and "/_" not in name}


def _folders() -> list[Path]:
    spec = find_spec("clipkit_configs")
    locations = spec.submodule_search_locations if spec else None
    return [Path(folder) for folder in locations or () if Path(folder).is_dir()]
