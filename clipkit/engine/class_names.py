"""What a config may write where a list of class names is wanted."""

import re
from collections.abc import Sequence
from pathlib import Path

from clipkit.engine.registry import DATASETS
from clipkit.errors import ClipkitError, one_line

_FREQUENCY = re.compile(r"(?<=\.json):([rcf]+)$")


def read_classes(spec: str | Sequence[str]) -> list[str]:
    """Class names in order.

    Args:
        spec: a list of names; a label file in any format of `Vocabulary.from_file`; LVIS's annotation file with `:cf`
            behind it for its common and frequent classes; `shapes` for all classes of
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
    from clipkit.text.label_file import names_of_json, read_label_file

    try:
        if frequency:
            return [words[0] for words in names_of_json(spec, frequency)]
        # Lists of other projects name some classes twice.
        return [words[0] for words in read_label_file(spec, unique=not spec.endswith(".json"))]
    except ValueError as error:
        raise ClipkitError(one_line(error)) from None


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
