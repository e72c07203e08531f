"""Which predictor an exported file is for, and which class writes its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clipkit.errors import ClipkitError, shown
from clipkit.export.detector import OnnxDetector
from clipkit.export.labels import OnnxModel
from clipkit.export.namer import NamedFiles, OnnxNamer
from clipkit.export.read import OnnxFile
from clipkit.export.segmenter import OnnxSegmenter
from clipkit.predict.files import DetectionFiles, SegmentationFiles

_OF_KIND: dict[str, tuple[Any, Any]] = {
    "classify": (OnnxNamer, NamedFiles),
    "segment": (OnnxSegmenter, SegmentationFiles),
    "detect": (OnnxDetector, DetectionFiles),
}


def open_onnx(path: str | Path, device: str | None = None) -> tuple[Any, Any]:
    """A predictor of an exported file, and the class that writes its files.

    Raises:
        FileNotFoundError, ClipkitError: see `OnnxFile`; or nothing predicts with files of this kind, which can be run
            by `OnnxFile.run`.
    """
    file = OnnxFile(path, device)
    if file.about.kind not in _OF_KIND:
        raise ClipkitError(
            f'{path}: of "{file.about.kind}" no files are written: use clipkit.export.OnnxFile in Python'
        )
    predictor, writer = _OF_KIND[file.about.kind]
    try:
        return predictor(OnnxModel(file)), writer
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ClipkitError(f"{path}: its metadata are broken ({shown(error, 120)}): export it again") from error
