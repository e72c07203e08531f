"""Results that can be looked at."""

from __future__ import annotations

import io
import tempfile
import webbrowser
from pathlib import Path

from PIL import Image

from clipkit.data.draw import save_picture


class Picture:
    """What has `plot()` can be saved, shown, and seen in a notebook."""

    def plot(self) -> Image.Image:
        """The result as a picture."""
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Writes the picture; its format is the path's ending's."""
        save_picture(self.plot(), path)

    def show(self) -> None:
        """Opens the picture with the system's viewer."""
        folder = Path(tempfile.mkdtemp(prefix="clipkit-"))  # not removed: the viewer reads it when it pleases
        self.save(folder / "result.png")
        webbrowser.open((folder / "result.png").as_uri())

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.plot().save(stream, format="PNG")
        return stream.getvalue()
