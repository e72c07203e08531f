"""What an exported file says of itself, as JSON in its metadata: all that `clipkit predict` needs beside the graph."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from clipkit.errors import ClipkitError, shown
from clipkit.text import Background, TextEmbeddings

KEY = "clipkit"
FORMAT = 1
KINDS = ("classify", "segment", "detect", "groups", "videos", "clouds", "sounds")
PRECISIONS = ("fp32", "fp16", "int8")
MOST = 8192
"""Pixels of a side that a file of a stranger may ask for."""


@dataclass
class About:
    """The metadata of an exported file.

    Attributes:
        kind: one of `KINDS`.
        model: the class that was exported.
        size: height and width in pixels to which the graph resizes pictures, or into which a detector's have to fit;
            None: they come ready.
        multiple: what their sides then have to be multiples of.
        text: where rows come from: `clip` (`name`, `pretrained`), its `weights` (hash), `templates`, `reduce`,
            `background_label` and `threshold`; without `clip` there are no other labels than the file's.
        labels: the file's own: `names`, `rows` (base64 of float32), `row_class`, `background`; empty for none.
        precision: of the weights, one of `PRECISIONS`; inputs and outputs are float32 in all.
        frozen: whether the rows lie in the graph, which then has no input `text`.
        options: what else a kind's predictor needs: windows, mean and std, the pipeline's resize, ….
    """

    kind: str
    model: str = ""
    size: tuple[int, int] | None = None
    multiple: int = 1
    text: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    precision: str = "fp32"
    frozen: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def dump(self) -> str:
        """As JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False)

    def keep(self, own: TextEmbeddings) -> None:
        """Takes these labels as the file's own."""
        self.labels = {
            "names": list(own.names),
            "rows": base64.b64encode(own.matrix.float().cpu().numpy().tobytes()).decode("ascii"),
            "row_class": own.row_class.tolist(),
            "background": asdict(own.background),
        }

    def own(self) -> TextEmbeddings | None:
        """The file's own labels; None where it has none."""
        if not self.labels:
            return None
        owner = torch.tensor(self.labels["row_class"], dtype=torch.int64)
        flat = np.frombuffer(base64.b64decode(self.labels["rows"]), dtype="<f4")
        background = dict(self.labels["background"])
        background["words"] = tuple(background["words"])
        rows = torch.from_numpy(flat.copy()).view(len(owner), -1)
        return TextEmbeddings(tuple(self.labels["names"]), rows, owner, Background(**background))


def parse_about(text: str | None, path: object) -> About:
    """What `About.dump` wrote.

    Raises:
        ClipkitError: one line: the file is not one of clipkit's, or its metadata are broken.
    """
    if text is None:
        raise ClipkitError(f"{path}: holds no metadata of clipkit: only files that `clipkit export` wrote are read")
    try:
        content = json.loads(text)
        version = content.pop("format")
        about = About(**content)
        about.size = None if about.size is None else (int(about.size[0]), int(about.size[1]))
        _check(about)
        about.own()
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, RecursionError, OverflowError) as error:
        raise ClipkitError(f"{path}: its metadata are broken ({shown(error, 120)}): export it again") from error
    if version != FORMAT:
        raise ClipkitError(f"{path}: has metadata of format {shown(version, 20)}, this clipkit reads {FORMAT}")
    return about


def _check(about: About) -> None:
    """Raises ValueError for what no writer writes."""
    if about.kind not in KINDS:
        raise ValueError(f"kind {about.kind!r} is none of {', '.join(KINDS)}")
    if about.precision not in PRECISIONS:
        raise ValueError(f"precision {about.precision!r} is none of {', '.join(PRECISIONS)}")
    for value, kind in ((about.model, str), (about.frozen, bool), (about.multiple, int)):
        if not isinstance(value, kind):
            raise ValueError(f"{value!r} is no {kind.__name__}")
    for part in (about.text, about.labels, about.options):
        if not isinstance(part, Mapping):
            raise ValueError("a part is no object")
    for number in (*(about.size or ()), about.multiple):
        if not 1 <= number <= MOST:
            raise ValueError(f"{number} pixels")
    if about.labels:
        _check_labels(about.labels)


def _check_labels(labels: Mapping[str, Any]) -> None:
    names, owner = labels["names"], labels["row_class"]
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ValueError("names are no list of different strings")
    most = len(names) + (labels["background"]["kind"] != "none")
    if not owner or sorted(set(owner)) != list(range(max(owner) + 1)) or not len(names) <= max(owner) + 1 <= most:
        raise ValueError("row_class does not fit the names")
    try:
        size = len(base64.b64decode(labels["rows"], validate=True))
    except binascii.Error as error:
        raise ValueError("rows are no base64") from error
    if size == 0 or size % (4 * len(owner)):
        raise ValueError("rows do not fit row_class")
