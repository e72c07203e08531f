"""Results as plain values for the page: pictures as data, what a pointer over them says, and files to keep."""

from __future__ import annotations

import base64
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from clipkit.data.draw import save_indexed_png
from clipkit.data.palette import NOTHING, label_colours
from clipkit.predict.dense import NONE
from clipkit.predict.detections import Detections
from clipkit.predict.segmenter import Segmentation

SIDE = 1024  # pixels of the longer side that the page shows; files have all
_GREY = (128, 128, 128)
View = dict[str, Any]


def segmentation_view(result: Segmentation, threshold: float) -> View:
    """Regions of words; pixels of a score below the threshold are `none of these`."""
    result = sure_pixels(result, threshold)
    colours = label_colours(result.names)
    shares, scores = result.shares(), result.mean_scores()
    index = result.labels.numpy()
    shown = np.array([name not in NOTHING for name in result.names])
    pieces = [_piece(name, colour) for name, colour in zip(result.names, colours)]
    legend = [
        {**pieces[result.names.index(name)], "text": f"{share:.0f} % · {scores[name]:.2f}"}
        for name, share in shares.items()
    ]
    return {
        **_stage(result.image, np.where(shown[index], index + 1, 0), result.scores.numpy()),
        "pieces": pieces,
        "legend": legend,
        "files": [
            _file("picture_labels.png", _indexed(index, len(result.names), colours), "image/png"),
            _coco_file(result.regions()),
        ],
    }


def detection_view(found: Detections) -> View:
    """Boxes, with masks where there are some."""
    colours = [colour or _GREY for colour in label_colours(found.names)]
    labels = found.labels.tolist()
    pieces = [
        {**_piece(found.names[i], colours[i]), "score": round(score, 4)}
        for i, score in zip(labels, found.scores.tolist())
    ]
    height, width = found.size
    sides = torch.tensor([width, height, width, height])
    ids = np.zeros(found.size, dtype=np.int64)
    files = [_coco_file(found)]
    if found.masks is not None:
        for place in reversed(range(len(found))):  # the surest on top
            ids[found.masks[place].numpy()] = place + 1
        colours_of_ids = [None, *(colours[i] for i in labels)]
        files.insert(0, _file("picture_objects.png", _indexed(ids, len(found) + 1, colours_of_ids), "image/png"))
    legend = [
        {**_piece(name, colours[found.names.index(name)]), "text": str(count)} for name, count in found.counts().items()
    ]
    return {
        **_stage(found.image, ids, None),
        "pieces": pieces,
        "boxes": (found.boxes / sides).clamp(0, 1).tolist(),
        "legend": legend,
        "note": "" if len(found) else "nothing as sure as the threshold",
        "files": files,
    }


def bars_view(title: str, answers: Sequence[tuple[str, float]], picture: Image.Image | None = None) -> View:
    """Names with their shares in [0, 1], below a picture."""
    bars = [{"name": name, "score": round(score, 4)} for name, score in answers]
    return {"title": title, "bars": bars, **({} if picture is None else {"photo": _jpeg(picture)})}


def tile(picture: Image.Image | None, name: str, text: str) -> View:
    """A thumbnail with its name; None: what can't be read any more."""
    return {"photo": "" if picture is None else _jpeg(picture, 320), "name": name, "text": text}


def drawing_view(svg: str, text: str) -> View:
    """A drawing, and its file."""
    file = _file("drawing.svg", svg.encode(), "image/svg+xml")
    return {"photo": file["data"], "note": text, "files": [file]}


def sure_pixels(result: Segmentation, threshold: float) -> Segmentation:
    """The same with `none of these` where the best label's score is below the threshold."""
    if threshold <= 0:
        return result
    names = result.names if NONE in result.names else (*result.names, NONE)
    labels = torch.where(result.scores >= threshold, result.labels, names.index(NONE))
    return Segmentation(labels, result.scores, names, result.image)


def _stage(image: np.ndarray | None, ids: np.ndarray, scores: np.ndarray | None) -> View:
    """The picture, and a PNG whose red and blue are the piece (from 1 on; 0 for none) and whose green is the score."""
    assert image is not None
    height, width = ids.shape
    factor = min(1.0, SIDE / max(height, width))
    rows, columns = (
        ((np.arange(max(1, round(side * factor))) + 0.5) * side / max(1, round(side * factor))).astype(int)
        for side in (height, width)
    )
    small = ids[rows[:, None], columns]
    green = np.zeros_like(small) if scores is None else np.rint(scores[rows[:, None], columns] * 255)
    pixels = np.stack([small % 256, green, small // 256], -1).astype(np.uint8)
    return {"photo": _jpeg(Image.fromarray(image)), "map": _png(Image.fromarray(pixels))}


def _piece(name: str, colour: tuple[int, int, int] | None) -> View:
    return {"name": name, "colour": None if colour is None else "#{:02x}{:02x}{:02x}".format(*colour)}


def _indexed(ids: np.ndarray, count: int, colours: Sequence[Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ids.png")
        save_indexed_png(ids, path, count, colours)
        return path.read_bytes()


def _coco_file(found: Detections) -> View:
    height, width = found.size
    annotations = []
    for number, row in enumerate(found.coco(1), 1):
        covered = row["bbox"][2] * row["bbox"][3] if found.masks is None else float(found.masks[number - 1].sum())
        annotations.append({"id": number, "iscrowd": 0, "area": covered, **row})
    content = {
        "images": [{"id": 1, "file_name": "picture", "width": width, "height": height}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(found.names, 1)],
        "annotations": annotations,
    }
    return _file("picture_coco.json", json.dumps(content, ensure_ascii=False).encode(), "application/json")


def _file(name: str, content: bytes, kind: str) -> View:
    return {"name": name, "data": f"data:{kind};base64,{base64.b64encode(content).decode()}"}


def _jpeg(picture: Image.Image, side: int = SIDE) -> str:
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=90, subsampling=0)
    return _file("", stream.getvalue(), "image/jpeg")["data"]


def _png(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return _file("", stream.getvalue(), "image/png")["data"]
