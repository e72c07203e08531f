"""What `clipkit label` does: photos and words in, a labelled set out, and after a kill the rest."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from clipkit.data import read_image
from clipkit.data.annotations import LabelledBox, LabelledImage, LabelledSet, mask_problem
from clipkit.data.draw import save_picture
from clipkit.data.formats import supervision
from clipkit.data.pairs import Problems
from clipkit.data.write_formats import image_root, write_labelled
from clipkit.errors import ClipkitError, one_line
from clipkit.files import append_lines, write_text
from clipkit.predict.detections import Detections
from clipkit.predict.inputs import is_video
from clipkit.predict.label_sheet import label_sheet
from clipkit.predict.segmenter import Segmentation
from clipkit.search.media import describe, find_media, tell_unread

LOG = "label_log.jsonl"
SHEET = "contact_sheet.png"
Find = Callable[[np.ndarray], Segmentation | Detections]


def label_photos(
    inputs: Sequence[str],
    find: Callable[[], Find],
    names: Sequence[str],
    out: Path,
    kind: str,
    made_by: dict[str, Any],
    *,
    min_score: float = 0.0,
    min_area: float = 0.001,
    boxes: bool = False,
) -> tuple[int, int]:
    """Labels photos and writes them as a set in a format, with a contact sheet.

    What is found in a photo is a line of `label_log.jsonl` in `out` at once; a run that was killed is repeated and goes
    on with the photos that have none, and ends with the files of one that was not. The other formats of a finished run
    are written without a model.

    Args:
        find: makes what labels one (H, W, 3) uint8; called if there is a photo left to label.
        names: of the labels.
        made_by: what the results depend on; a log of something else is refused.
        min_score, min_area, boxes: score and share of the photo below which an object is left out; boxes without masks.

    Returns:
        how many photos were labelled in all, and how many could not be used.

    Raises:
        ClipkitError: nothing can be done; the line says why.
    """
    supervision()
    files = _list_photos(inputs)
    out.mkdir(parents=True, exist_ok=True)
    log = out / LOG
    made_by = json.loads(json.dumps({**made_by, "names": list(names), "min_score": min_score, "min_area": min_area}))
    done = _read_log(log, made_by)
    left = [file for file in files if _key(file) not in done]
    if done and left:
        print(f"{len(files) - len(left)} of {len(files)} photos are in {log} already")
    label = find() if left else None
    for file in tqdm(left, unit="photo", delay=2):
        line: dict[str, Any] = {"photo": _key(file)}
        try:
            assert label is not None
            line |= _objects(label(read_image(file)), names, min_score, min_area)
        except (ClipkitError, ValueError, OSError) as error:
            line["problem"] = one_line(error)
            tqdm.write(f"skipped: {line['problem']}", file=sys.stderr)
        append_lines(log, [json.dumps(line)])
        done[line["photo"]] = line
    images = [_image(file, done[_key(file)], boxes) for file in files if "problem" not in done[_key(file)]]
    if not images:
        raise ClipkitError(f"{out}: not one of {len(files)} photos can be used")
    found = LabelledSet(tuple(names), images, Problems())
    write_labelled(found, out, kind)
    save_picture(Image.fromarray(label_sheet(found)), out / SHEET)
    counts = np.bincount([item.label for image in images for item in image.objects], minlength=len(names))
    print(", ".join(f"{count} {name}" for name, count in zip(names, counts.tolist())))
    if kind == "coco":
        print(f"{out / 'annotations.json'}: its images are named from {image_root(found)}")
    return len(images), len(files) - len(images)


def _list_photos(inputs: Sequence[str]) -> list[Path]:
    media, others = find_media(inputs)
    tell_unread(others)
    films = [file for file in media if is_video(file)]
    if films:
        print(
            f"not labelled: {describe(Counter(file.suffix.lower() for file in films))}: films; make photos of one with "
            "`ffmpeg -i FILM -r 1 FILM_%04d.png` (one a second) and label those",
            file=sys.stderr,
        )
    photos = [file for file in media if not is_video(file)]
    if not photos:
        raise ClipkitError(f"{', '.join(map(str, inputs))}: no photo to label")
    return photos


def _key(file: Path) -> str:
    """A photo and its state: another one under the old name is labelled again."""
    about = file.stat()
    return f"{file.resolve()}|{about.st_size}|{about.st_mtime_ns}"


def _read_log(log: Path, made_by: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if not log.exists():
        write_text(log, json.dumps(made_by) + "\n")
        return {}
    if not log.is_file():  # a pipe would be waited for
        raise ClipkitError(f"{log}: is no plain file; give another --out, or remove it")
    lines = []
    for text in log.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            lines.append(json.loads(text))
        except (ValueError, RecursionError):  # noqa: PERF203
            continue  # a line that a kill cut off: its photo is labelled again
    if not lines or lines[0] != made_by:
        head = lines[0] if lines and isinstance(lines[0], dict) else {}
        other = [key for key in made_by if head.get(key) != made_by[key]] or ["settings"]
        raise ClipkitError(f"{log}: is of a run with other {', '.join(other)}; give another --out, or remove it")
    return {line["photo"]: line for line in lines[1:] if _is_whole(line, len(made_by["names"]))}


def _is_whole(line: Any, labels: int) -> bool:
    """Whether a line of the log says what a run writes; the photo of a damaged one is labelled again."""
    match line:
        case {"photo": str(), "problem": str()}:
            return True
        case {"photo": str(), "size": [int(width), int(height)], "objects": [*rows]} if min(width, height) > 0:
            return all(_is_object(row, width, height, labels) for row in rows)
    return False


def _is_object(row: Any, width: int, height: int, labels: int) -> bool:
    match row:
        case {"label": int(label), "score": int() | float(), "bbox": [_, _, _, _] as box, "segmentation": mask}:
            is_box = all(isinstance(side, (int, float)) and abs(side) < 1e9 for side in box)
            return is_box and 0 <= label < labels and (mask is None or mask_problem(mask, width, height) is None)
    return False


def _objects(result: Segmentation | Detections, names: Sequence[str], min_score: float, min_area: float) -> dict:
    found = result.regions(min_area, min_score) if isinstance(result, Segmentation) else result.above(min_score)
    height, width = found.size
    rows = []
    for row in found.coco(0):
        label = names.index(found.names[row["category_id"] - 1])
        if row["bbox"][2] * row["bbox"][3] >= min_area * height * width:
            rows.append({"label": label, **{key: row.get(key) for key in ("score", "bbox", "segmentation")}})
    return {"size": [width, height], "objects": rows}


def _image(file: Path, line: dict[str, Any], boxes: bool) -> LabelledImage:
    image = LabelledImage(file.stem, file, *line["size"])
    for row in line["objects"]:
        x, y, w, h = row["bbox"]
        mask = None if boxes else row["segmentation"]
        image.objects.append(LabelledBox((x, y, x + w, y + h), row["label"], mask=mask, score=row["score"]))
    return image
