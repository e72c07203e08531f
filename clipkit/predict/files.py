"""What `clipkit predict` writes for an image: of a segmenter, and of a detector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from clipkit.data import save_indexed_png
from clipkit.data.draw import save_picture
from clipkit.data.palette import label_colours
from clipkit.errors import ClipkitError
from clipkit.files import write_text
from clipkit.predict.detections import Detections, name_all
from clipkit.predict.detector import Detector
from clipkit.predict.film import predict_film
from clipkit.predict.predictor import ImagePredictor, Predictor
from clipkit.predict.segmenter import Segmentation, Segmenter


class ResultFiles(Protocol):
    """What writes a task's files. One that has `ImageFiles`' `save` too is given the results of batches.

    Attributes:
        picture: how the name of an image's picture ends.
        reserved: stems that no image may have.
        beside: whether pictures also show the photo as it is; the command sets it.
    """

    picture: str
    reserved: frozenset[str]
    beside: bool

    def __init__(self, predictor: Any, labels: Any, out: Path, min_score: float) -> None:
        """
        Args:
            predictor: with its labels set.
            labels: the same labels, None for the config's own.
            out: folder that is there.
            min_score: objects below it are not drawn.
        """

    def write(self, file: str | Path, stem: str) -> str:
        """Predicts one image, a path or an http(s) address, and writes files that begin with `stem`; returns what to
        print: what is in it."""

    def finish(self) -> None:
        """Writes what belongs to all images together."""


class ImageFiles:
    """A `ResultFiles` that also takes results: what they come from may have shared a pass with others."""

    predictor: ImagePredictor
    labels: Any
    beside = False

    def write(self, file: str | Path, stem: str) -> str:
        """Predicts one image and writes its files; see `ResultFiles`."""
        return self.save(self.predictor(file, self.labels), file, stem)

    def save(self, result: Any, file: str | Path, stem: str) -> str:
        """Writes the files of the result of one image; returns what to print: what is in it."""
        raise NotImplementedError(f"{type(self).__name__} does not say how a result is written")


class SegmentationFiles(ImageFiles):
    """`<stem>_overlay.png`, `<stem>_labels.png` (values are label indices) and `<stem>.json`."""

    picture = "overlay.png"
    reserved: frozenset[str] = frozenset()

    def __init__(self, segmenter: Segmenter, labels: Any, out: Path, min_score: float = 0.0) -> None:
        self.predictor, self.labels, self.out = segmenter, labels, out

    def save(self, result: Segmentation, file: str | Path, stem: str) -> str:
        """Writes one image's files; returns what to print: what is in it."""
        index, shares = result.labels.numpy(), result.shares()
        save_picture(result.plot(self.beside), self.out / f"{stem}_overlay.png")
        save_indexed_png(index, self.out / f"{stem}_labels.png", len(result.names), label_colours(result.names))
        record = {
            "image": str(file),
            "size": [int(index.shape[1]), int(index.shape[0])],
            "labels": list(result.names),
            "label_map": f"{stem}_labels.png",
            "shares": {name: round(share, 3) for name, share in shares.items()},
            "mean_scores": {name: round(score, 4) for name, score in result.mean_scores().items()},
        }
        _write_json(self.out / f"{stem}.json", record)
        return ", ".join(f"{name} {share:.0f}%" for name, share in list(shares.items())[:5])

    def finish(self) -> None:
        """Nothing is written for all images together."""


class DetectionFiles(ImageFiles):
    """`<stem>_objects.png` and `<stem>.json` an image, and `detections.json` of all in COCO's format.

    Args:
        min_score: what is drawn and listed in an image's own files; `detections.json` holds all detections.
    """

    picture = "objects.png"
    reserved = frozenset({"detections"})

    def __init__(self, detector: Detector, labels: Any, out: Path, min_score: float) -> None:
        self.predictor, self.labels, self.out, self.min_score = detector, labels, out, min_score
        self.names = detector.set_labels(labels)
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def save(self, result: Detections, file: str | Path, stem: str) -> str:
        """Writes one image's files; returns what to print: what is in it."""
        self._keep(result, file)
        shown = result.above(self.min_score)
        save_picture(shown.plot(self.beside), self.out / f"{stem}_objects.png")
        names = [shown.names[i] for i in shown.labels.tolist()]
        objects = [
            {"label": name, "score": round(score, 4), "box": [round(v, 2) for v in box]}
            for name, score, box in zip(names, shown.scores.tolist(), shown.boxes.tolist())
        ]
        height, width = result.size
        record: dict[str, Any] = {"image": str(file), "size": [width, height]}
        record |= {"labels": list(result.names), "objects": objects}
        if result.sentence is not None:
            record["sentence"] = "".join(text for text, _ in result.sentence)
        _write_json(self.out / f"{stem}.json", record)
        counts = [f"{count} {name}" for name, count in list(shown.counts().items())[:5]]
        return ", ".join(counts) or f"nothing of score {self.min_score} or more"

    def _keep(self, found: Detections, file: str | Path) -> None:
        height, width = found.size
        number = len(self.images) + 1
        self.images.append({"id": number, "file_name": str(file), "width": width, "height": height})
        for row in found.coco(number):
            area = row["bbox"][2] * row["bbox"][3]
            self.annotations.append({"id": len(self.annotations) + 1, "iscrowd": 0, "area": area, **row})

    def finish(self) -> None:
        """Writes `detections.json`; its `annotations` are COCO results, with the rest of a COCO file around them."""
        names = name_all(self.names, max((row["category_id"] for row in self.annotations), default=0))
        categories = [{"id": i, "name": name} for i, name in enumerate(names, 1)]
        content = {"images": self.images, "categories": categories, "annotations": self.annotations}
        _write_json(self.out / "detections.json", content)


def _write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def film_of(
    predictor: Predictor,
    source: Any,
    target: Path,
    labels: Any,
    fps: float | None,
    beside: bool,
    min_score: float,
    batch_size: int = 8,
) -> str:
    """Writes a film of what is in a film; returns what to print. See `predict_film`."""
    if not isinstance(predictor, ImagePredictor):
        raise ClipkitError(f"{source}: {type(predictor).__name__} takes images, not videos")

    def draw(result: Any) -> Any:
        return (result.above(min_score) if isinstance(result, Detections) else result).plot(beside)

    count = predict_film(predictor, source, target, labels, fps=fps, draw=draw, batch_size=batch_size)
    return f"{count} frames"
