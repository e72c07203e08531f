"""What a config may write where a list of class names is wanted."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError, one_line

_FREQUENCY = re.compile(r"(?<=\.json):([rcf]+)$")
_NUMBERED = re.compile(r"\s*(\d+)\s*:\s*(.+?)\s*")


def read_classes(spec: str | Sequence[str]) -> list[str]:
    """Class names in order.

    Args:
        spec: a list of names; a label file (one class a line, `name; synonym`); a `.json` with a list of names, alone
            or under 'names', or an annotation file in COCO's format; LVIS's with `:cf` behind it for its common and
            frequent classes; PASCAL-Context's `labels.txt` (lines `1: accordion`); `shapes` for all classes of
            clipkit.shapes, `shapes:objects` for all but the grounds, either with `:composition` or `:shape` behind it
            for the seen ones of that split; `dataset:` and a type for the names that a data set has by itself
            (`dataset:mmseg.ADE20KDataset`).

    Raises:
        ClipkitError: no such file or data set, or a file that holds no such list.
    """
    if not isinstance(spec, str):
        return [str(name) for name in spec]
    if spec == "shapes" or spec.startswith("shapes:"):
        return _of_shapes(spec.split(":")[1:])
    if spec.startswith("dataset:"):
        return _of_dataset(spec.removeprefix("dataset:"))
    spec, frequency = (spec[: -len(m[0])], m[1]) if (m := _FREQUENCY.search(spec)) else (spec, "")
    if not Path(spec).is_file():
        raise ClipkitError(f"label file '{spec}' does not exist; give a file with one class a line")
    if spec.endswith(".json"):
        return _of_json(spec, frequency)
    from clipkit.text import Vocabulary

    names = list(Vocabulary.from_file(spec).names)
    numbered = [_NUMBERED.fullmatch(name) for name in names]
    return _without_numbers(spec, numbered) if any(numbered) else names


def _of_dataset(kind: str) -> list[str]:
    found = DATASETS.get(kind)
    names = getattr(found, "METAINFO", {}).get("classes")
    if not names:
        why = "has no classes by itself" if found else "is unknown (is its plugin in the config's `plugins`?)"
        raise ClipkitError(f"classes='dataset:{kind}': the data set {why}")
    return list(names)


def _of_shapes(words: Sequence[str]) -> list[str]:
    from clipkit.shapes import class_names, seen_mask

    objects, split = words[:1] == ["objects"], [word for word in words if word != "objects"]
    named = zip(class_names(), seen_mask(split[0] if split else None).tolist())
    # Objects are called by colour and shape, grounds by one word.
    return [name for name, seen in named if seen and (" " in name or not objects)]


def _of_json(path: str, frequency: str) -> list[str]:
    try:
        names = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ClipkitError(f"{path}: is no JSON ({one_line(error)})") from error
    if isinstance(names, dict) and isinstance(names.get("categories"), list):
        rows = [c if isinstance(c, dict) else {} for c in names["categories"]]
        if frequency and (wrong := [c for c in rows if c.get("frequency") not in ("r", "c", "f")]):
            raise ClipkitError(f"{path}: category {str(wrong[0].get('name'))[:60]!r} has no frequency r, c or f")
        names = [c.get("name") for c in rows if not frequency or c["frequency"] in frequency]
    elif isinstance(names, dict):
        names = names.get("names")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ClipkitError(f"{path}: must hold a JSON list of class names, in the order of their ids")
    return names


def _without_numbers(path: str, lines: Sequence[re.Match[str] | None]) -> list[str]:
    ids = [int(line[1]) if line else -1 for line in lines]
    if ids != list(range(1, len(ids) + 1)):
        wrong = next(i for i, number in enumerate(ids) if number != i + 1)
        raise ClipkitError(f"{path}: name {wrong + 1} should be numbered '{wrong + 1}: …', as in labels.txt")
    return [line[2] for line in lines if line]
