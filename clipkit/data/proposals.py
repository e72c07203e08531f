"""Which images and which boxes: image lists in COCO's format, and files of region proposals.

Proposal files (boxes in pixels of the image; scores may be left out, then the order counts):
  .json  {"file name": {"boxes": [[x1, y1, x2, y2], ...], "scores": [...]}, ...}
         or COCO results [{"image_id": 1, "bbox": [x, y, width, height], "score": 0.9}, ...], with --annotations
  .npz   arrays names (N,) text, counts (N,) integers, boxes (sum of counts, 4), scores (sum of counts,)
A file name is relative to the image folder, or has that folder's own name before it, as mmdet writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clipkit.errors import ClipkitError
from clipkit.safe import open_npz

from .images import list_images

_CONVERT = (
    "python -c \"import pickle, sys, numpy as np; d = pickle.load(open(sys.argv[1], 'rb')); "
    "np.savez(sys.argv[2], names=list(d), counts=[len(p.bboxes) for p in d.values()], "
    'boxes=np.concatenate([p.bboxes for p in d.values()]), scores=np.concatenate([p.scores for p in d.values()]))" '
    "IN.pkl OUT.npz"
)


class ImageFile(NamedTuple):
    """An image of a data set: `name` is its path below the folder, with `/`; `image_id` is COCO's, if any."""

    name: str
    path: Path
    image_id: Any = None


@dataclass(frozen=True)
class Proposals:
    """Boxes `(M, 4)` x1 y1 x2 y2 and scores `(M,)` by file name, or by COCO's image id."""

    path: Path
    by_key: Mapping[Any, tuple[np.ndarray, np.ndarray]]

    def of(self, image: ImageFile, folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
        """Those of an image; None if the file does not have it."""
        for key in (image.name, f"{folder.name}/{image.name}", image.image_id):
            if key is not None and key in self.by_key:
                return self.by_key[key]
        return None


def list_dataset(folder: str | Path, annotations: str | Path | None = None) -> list[ImageFile]:
    """The images of a folder, or those that an annotation file in COCO's or LVIS's format lists, in its order.

    Raises:
        FileNotFoundError: no such folder or file, or a folder without images.
        ClipkitError: the file is not in that format.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of images")
    if annotations is None:
        return [ImageFile(path.relative_to(folder).as_posix(), path) for path in list_images([folder])]
    content = _read_json(Path(annotations))
    entries = content.get("images") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ClipkitError(f'{annotations}: not in COCO\'s format (no list "images")')
    found: dict[str, ImageFile] = {}
    for number, entry in enumerate(entries):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not name and isinstance(entry, dict) and isinstance(entry.get("coco_url"), str):
            name = "/".join(entry["coco_url"].split("/")[-2:])  # LVIS: …/train2017/000000000139.jpg
        if not isinstance(name, str) or not name:
            raise ClipkitError(f"{annotations}: images[{number}] has neither file_name nor coco_url")
        found.setdefault(name, ImageFile(name, folder / name, entry.get("id")))
    return list(found.values())


def read_proposals(path: str | Path) -> Proposals:
    """A file of region proposals; the module's docstring says which.

    Raises:
        FileNotFoundError: no such file.
        ClipkitError: another format, or boxes and scores that do not fit each other; the line names the entry.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of proposals")
    if path.suffix in (".pkl", ".pickle"):
        raise ClipkitError(
            f"{path}: a pickle runs whatever its author wrote into it, so it is not opened; if you made it yourself "
            f"(mmdet's DumpProposals), convert it once: {_CONVERT}"
        )
    if path.suffix == ".npz":
        return Proposals(path, _from_npz(path))
    if path.suffix == ".json":
        content = _read_json(path)
        if isinstance(content, dict):
            return Proposals(path, {name: _entry(path, name, value) for name, value in content.items()})
        if isinstance(content, list):
            return Proposals(path, _from_results(path, content))
    raise ClipkitError(
        f"{path}: not a file of proposals (.json or .npz); `clipkit precompute --help` shows the formats"
    )


def clean_boxes(
    boxes: np.ndarray, scores: np.ndarray, size: tuple[int, int], most: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Boxes clipped to an image of `size` (height, width), the best `most` of them, best first.

    Returns:
        `(m, 4)` boxes, `(m,)` scores, and how many were dropped because nothing of them is inside, or not a number.
    """
    height, width = size
    boxes, scores = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(scores, np.float64).reshape(-1)
    clipped = np.clip(np.nan_to_num(boxes, nan=0.0), 0, [width, height, width, height])
    good = np.isfinite(boxes).all(1) & np.isfinite(scores) & (clipped[:, 2:] > clipped[:, :2]).all(1)
    order = np.argsort(-scores[good], kind="stable")[:most]
    return clipped[good][order], scores[good][order], int((~good).sum())


def _from_npz(path: Path) -> dict[Any, tuple[np.ndarray, np.ndarray]]:
    try:
        with open_npz(path) as file:
            arrays = {name: file[name] for name in file.files}
    except ClipkitError:
        raise
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise ClipkitError(f"{path}: not a readable .npz of plain arrays ({str(error)[:80]})") from None
    if missing := {"names", "counts", "boxes"} - set(arrays):
        raise ClipkitError(f"{path}: has no array {', '.join(sorted(missing))}")
    names, counts, boxes = arrays["names"], arrays["counts"].astype(np.int64), arrays["boxes"]
    total = int(counts.sum())
    scores = arrays.get("scores", _by_order(counts))
    if boxes.shape != (total, 4) or scores.shape != (total,) or len(names) != len(counts) or (counts < 0).any():
        raise ClipkitError(
            f"{path}: {len(names)} names, {len(counts)} counts with sum {total}, boxes {boxes.shape} and scores "
            f"{scores.shape} do not fit each other"
        )
    ends = np.cumsum(counts)
    return {str(n): (boxes[end - c : end], scores[end - c : end]) for n, c, end in zip(names, counts, ends)}


def _from_results(path: Path, rows: Sequence[Any]) -> dict[Any, tuple[np.ndarray, np.ndarray]]:
    grouped: dict[Any, list[list[float]]] = {}
    try:
        for row in rows:
            x, y, width, height = (float(v) for v in row["bbox"])
            grouped.setdefault(row["image_id"], []).append([x, y, x + width, y + height, float(row["score"])])
    except (KeyError, TypeError, ValueError):
        number = sum(map(len, grouped.values()))
        raise ClipkitError(
            f'{path}: entry {number} is not {{"image_id": …, "bbox": [x, y, width, height], "score": …}}'
        ) from None
    tables = {key: np.array(values) for key, values in grouped.items()}
    return {key: (table[:, :4], table[:, 4]) for key, table in tables.items()}


def _entry(path: Path, name: str, value: Any) -> tuple[np.ndarray, np.ndarray]:
    try:
        boxes = np.array(value["boxes"], dtype=np.float64).reshape(-1, 4)
        scores = np.array(value["scores"], dtype=np.float64) if "scores" in value else _by_order([len(boxes)])
        if scores.shape != (len(boxes),):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise ClipkitError(
            f'{path}: "{name}" is not {{"boxes": [[x1, y1, x2, y2], …], "scores": [one a box]}}'
        ) from None
    return boxes, scores


def _by_order(counts: Any) -> np.ndarray:
    """Scores that keep the order of boxes without any: from 1 down, within (0, 1]."""
    return np.concatenate([np.zeros(0), *(1 - np.arange(count) / max(count, 1) for count in counts)])


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ClipkitError(f"{path}: not readable as JSON ({str(error)[:80]})") from None
