"""What every converter does with a file that is no checkpoint of its original."""

from pathlib import Path
from typing import Any

import pytest
import torch

from clipkit.convert.checkpoints import convert_file
from clipkit.errors import ClipkitError


def refused(kind: str, folder: Path, content: Any, match: str, name: str = "a.pt") -> None:
    """`clipkit convert` ends in one line that names the file and matches; nothing is written.

    Args:
        content: bytes, an object to be saved, or None for a file that is not there.
    """
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises((ClipkitError, ValueError, FileNotFoundError), match=match) as caught:
        convert_file(kind, path, folder / "out.pth")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not (folder / "out.pth").exists()
