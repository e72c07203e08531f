"""What a config may write where a list of class names is wanted."""

from collections.abc import Sequence
from pathlib import Path

from clipkit.errors import ClipkitError


def read_classes(spec: str | Sequence[str]) -> list[str]:
    """Class names in order.

    Args:
        spec: a list of names; a label file (one class a line, `name; synonym`); `shapes` for all classes of
            clipkit.shapes; `shapes:composition` or `shapes:shape` for the seen ones of that split.
    """
    if not isinstance(spec, str):
        return [str(name) for name in spec]
    if spec == "shapes" or spec.startswith("shapes:"):
        from clipkit.shapes import class_names, seen_mask

        names = class_names()
        if spec == "shapes":
            return names
        return [name for name, seen in zip(names, seen_mask(spec.split(":", 1)[1]).tolist()) if seen]
    if not Path(spec).is_file():
        raise ClipkitError(f"label file '{spec}' does not exist; give a file with one class a line")
    from clipkit.text import Vocabulary

    return list(Vocabulary.from_file(spec).names)
