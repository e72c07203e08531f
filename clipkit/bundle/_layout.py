"""Names in a bundle, and the bundle that was read."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipkit.bundle.records import Records

FORMAT = "clipkit-bundle/1"
INDEX, WEIGHTS, LABELS, SCORES, CARD = "bundle.json", "model.safetensors", "labels.json", "scores.json", "README.md"
HUB = "hf-hub:"
MEMBER = re.compile(r"(?:[A-Za-z0-9_][\w.-]{0,120}/)?[A-Za-z0-9_][\w.-]{0,120}", re.ASCII)
"""A file's name in a bundle: at most one folder deep, and none that starts with a dot."""
ENDINGS = (".safetensors", ".json", ".txt", ".npy", ".npz")


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are whole and whose config is allowed.

    Attributes:
        folder: where it lies.
        config: `default_scope`, `plugins`, `model`, `test_dataloader`; `{bundle}` stands for the folder.
        frozen: what checkpoints say of frozen CLIPs: `path`, `name`, `weights_hash`.
        records: labels, scores and how it was trained.
        size: bytes of its weights.
    """

    folder: Path
    config: dict[str, Any]
    frozen: list[dict[str, str]]
    records: Records
    size: int


def is_bundle(source: Any) -> bool:
    """Whether a text or path names a bundle: a folder with `bundle.json`, or `hf-hub:owner/name`."""
    if isinstance(source, str) and source.startswith(HUB):
        return True
    return isinstance(source, (str, Path)) and (Path(source) / INDEX).is_file()


def file_record(path: Path) -> dict[str, Any]:
    """`bytes` and `sha256` of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def digest(index: dict[str, Any]) -> str:
    """sha256 of an index without its own, so that damage is seen."""
    text = json.dumps({key: value for key, value in index.items() if key != "sha256"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
