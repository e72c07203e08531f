"""What made a store, and how two makers differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clipkit.store._files import StoreError


def plain(key: Mapping[str, Any]) -> dict[str, Any]:
    """The key as JSON has it, so that a tuple equals a list after a round trip.

    Raises:
        StoreError: if JSON cannot hold it.
    """
    try:
        return json.loads(json.dumps(dict(key), sort_keys=True, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise StoreError(f"a store's key must be plain JSON (strings, numbers, lists, dicts): {error}") from None


def digest(key: Mapping[str, Any]) -> str:
    """SHA-256 of the key, hex."""
    return hashlib.sha256(json.dumps(key, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def differences(made: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """One phrase for each field that differs, nested ones as `outer.inner`."""
    left, right = _flatten(made), _flatten(asked)
    fields = [field for field in sorted({*left, *right}) if left.get(field, _ABSENT) != right.get(field, _ABSENT)]
    return [f"{f} is {_show(left, f)} in the store and {_show(right, f)} here" for f in fields]


def hash_files(paths: Iterable[str | Path]) -> str:
    """SHA-256 over names and contents of files, in the given order: for the key of a store that was made from them."""
    total = hashlib.sha256()
    for path in map(Path, paths):
        total.update(path.name.encode("utf-8", "surrogateescape") + b"\0" + bytes.fromhex(hash_file(path)))
    return total.hexdigest()


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, hex; its name does not count."""
    found = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


_ABSENT = object()


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            out.update(_flatten(item, f"{prefix}{name}."))
        else:
            out[prefix + name] = item
    return out


def _show(values: Mapping[str, Any], field: str) -> str:
    if field not in values:
        return "absent"
    text = json.dumps(values[field], ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
