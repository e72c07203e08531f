"""Search inside video files as a library: which file, which second, for any sentence.

    python examples/search.py

About half a minute on a laptop, no download. `clipkit search index` and `query` do the same from the command line.
"""

import tempfile
from pathlib import Path

import torch

from clipkit.embed.encoder import load_frozen
from clipkit.search.index import SearchIndex, index_key
from clipkit.shapes import COLOURS, SHAPES, render, write_film

FPS = 8
wanted = {"a red circle": (0, 3.0), "a green star": (1, 6.0), "a purple heart": (2, 1.0)}  # file and second of each

scenes = render(1500, seed=3, objects=(1, 1), split=None)
pictures: dict[str, torch.Tensor] = {}
for image, colour, shape in zip(scenes.images, scenes.colour[:, 0], scenes.shape[:, 0], strict=True):
    pictures.setdefault(f"a {COLOURS[colour]} {SHAPES[shape]}", image)
usual = [pictures[name] for name in ("a blue square", "an orange bar", "a white cross") if name in pictures]

with tempfile.TemporaryDirectory() as folder:
    files = []
    for number in range(3):
        (name,) = [text for text, (file, _) in wanted.items() if file == number]
        start = wanted[name][1]
        frames = [  # nine seconds; one of them shows what is looked for
            pictures[name] if start <= t / FPS < start + 1 else usual[(t // 20) % len(usual)] for t in range(9 * FPS)
        ]
        files.append(Path(folder) / f"film{number}.mkv")
        write_film(torch.stack(frames), files[-1], FPS)  # a real video file; any that decord reads will do

    clip, made_by = load_frozen("tiny_clip", None, "fp32", "cpu")  # or "ViT-B-32", "openai"
    index = SearchIndex(Path(folder) / "index", index_key(made_by, fps=4.0))  # on disk; `add` skips what it has
    for file, problem in index.add(files, clip):
        print(f"{file.name}: {problem or 'indexed'}")

    found = 0
    for text, (number, second) in wanted.items():
        best = index.search(clip.encode_text([text])[0].float().numpy(), top=1)[0]
        print(f"{text}: {Path(best.path).name} {best.start:.1f} to {best.end:.1f} s, cosine {best.score:.2f}")
        found += Path(best.path) == files[number] and abs(best.time - second) < 1.01
print(f"found in the right file at the right second: {100 * found / len(wanted):.0f} %")
