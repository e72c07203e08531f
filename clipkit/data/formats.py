"""Labelled sets in the formats of other tools. Supervision (MIT; the extra `formats`) reads and writes them, what has a
reader in `annotations` aside."""

from __future__ import annotations

from typing import Any

from clipkit.errors import ClipkitError


def supervision() -> Any:
    """The package.

    Raises:
        ClipkitError: it is not installed.
    """
    try:
        import supervision as package
    except ModuleNotFoundError as error:
        raise ClipkitError(
            f'this needs the package {error.name}, which is not installed: pip install "openclipkit[formats]"'
        ) from None
    return package
