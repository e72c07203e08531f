"""The pictures and films of this folder."""

from pathlib import Path

from PIL import Image

from clipkit.shapes import film_set, render

for name in ("one", "two"):
    scene = render(4, size=64, seed=len(name) + (name == "two"), objects=(1, 1))
    for number, picture in enumerate(scene.images[:2]):
        path = Path("images") / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((picture.movedim(0, -1) * 255).round().byte().numpy()).save(path)
films = film_set("films", ["direction"], 2, seed=0, frames=4, size=32)
Path("films.csv").write_text("video,sentence\n" + "".join(f"films/{f['file']},{f['caption']}\n" for f in films))
