"""What a transform stumbles over in a worker, hours into a run, as one line that names the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clipkit.errors import ClipkitError, one_line


def named_pictures(prepare: Callable[[int], Any], info: Callable[[int], dict], index: int) -> Any:
    """`prepare(index)`, with the path and, where known, the size of the picture in front of any error.

    Raises:
        ClipkitError: a transform failed, or OpenCV did.
    """
    try:
        return prepare(index)
    except ClipkitError:
        raise
    except Exception as error:
        item = info(index)
        size = f" ({item['width']} x {item['height']})" if "width" in item else ""
        why = one_line(error, 200)
        raise ClipkitError(
            f"{item['img_path']}{size}: the pipeline cannot use this picture ({type(error).__name__}: {why}); "
            "repair or remove it"
        ) from error
