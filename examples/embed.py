"""A webdataset archive of scenes embedded by `clipkit embed`, then searched by words:

python examples/embed.py
"""

import io
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from clipkit import cli
from clipkit.embed.bulk import Embeddings
from clipkit.shapes import COLOURS, SHAPES, render, tiny_clip

with tempfile.TemporaryDirectory() as folder:
    scenes = render(64, seed=7, objects=(1, 1), split=None)
    with tarfile.open(Path(folder) / "00000.tar", "w") as archive:
        for number, picture in enumerate(scenes.images):
            file = io.BytesIO()
            Image.fromarray((picture * 255).round().byte().movedim(0, -1).numpy()).save(file, "PNG")
            name = f"{number:03d} {COLOURS[scenes.colour[number, 0]]} {SHAPES[scenes.shape[number, 0]]}"
            member = tarfile.TarInfo(f"{name}.png")
            member.size = file.tell()
            file.seek(0)
            archive.addfile(member, file)

    command = [f"{folder}/00000.tar", "--out", f"{folder}/out", "--clip", "tiny_clip", "--precision", "fp32"]
    cli.run("embed", command)  # in a shell: clipkit embed 00000.tar --out out --clip tiny_clip
    cli.run("embed", command)  # again: nothing is left to do

    names, rows = [], []
    for part_names, part in Embeddings(f"{folder}/out"):
        names += part_names
        rows.append(part["embeddings"])
    kinds = [name.split(" ", 1)[1] for name in names]
    asked = sorted(set(kinds))
    scores = tiny_clip().encode_text([f"a {kind}" for kind in asked]).numpy() @ np.concatenate(rows).T
    found = [kinds[best] == kind for kind, best in zip(asked, scores.argmax(1))]
    print(f"{100 * np.mean(found):.1f} % of {len(asked)} things are found first by their words")
