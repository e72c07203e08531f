"""Webdataset archives of made-up scenes, and what a folder holds."""

import io
import tarfile
from pathlib import Path

from PIL import Image

from clipkit.shapes import render


def write_archives(folder: Path, count: int, pictures: int = 4) -> Path:
    """`count` archives of as many pictures each."""
    folder.mkdir(exist_ok=True)
    scenes = (render(pictures * count, size=64, seed=3).images * 255).round().byte().movedim(1, -1).numpy()
    for part in range(count):
        with tarfile.open(folder / f"{part:05d}.tar", "w") as archive:
            for number in range(pictures * part, pictures * (part + 1)):
                file = io.BytesIO()
                Image.fromarray(scenes[number]).save(file, "PNG")
                member = tarfile.TarInfo(f"{number:06d}.png")
                member.size = file.tell()
                file.seek(0)
                archive.addfile(member, file)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """Path below the folder -> content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
