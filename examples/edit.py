"""A scene's object becomes another shape, then another colour, by words alone: edits in the latents of a generator.

    python examples/edit.py

About 10 seconds of a CPU, no download: the generator is the embedded world's own renderer, whose latents (colour,
radius, place, angle, a logit of each shape) have gradients here. Writes edits.png: before and after, a line an edit.
`clipkit edit` does it with photos.
"""

import torch
from clipkit_plugins.latent_edit.style import edit_latents
from PIL import Image

from clipkit.shapes import COLOURS, SHAPES, tiny_clip
from clipkit.shapes.soft import SoftScenes

clip = tiny_clip()
lines, right = [], 0
for seed, words in ((5, {"shape": "cross"}), (8, {"colour": "blue"})):
    scene = SoftScenes(1, seed=seed)
    was = scene.named(scene.start)
    names = {"colour": COLOURS[was["colour"]], "shape": SHAPES[was["shape"]]}
    base, to = ("a {colour} {shape}".format(**{**names, **change}) for change in ({}, words))
    edited = edit_latents(
        clip, scene, scene.start, to, base, jittered=["colour", "shape"], draws=160, restarts=2, keep_weight=0.2
    )
    now = scene.named(edited.latents)
    kept = [name for name, value in scene.kept(edited.latents).items() if value]
    print(f"{base} -> {to}: now {COLOURS[now['colour']]} {SHAPES[now['shape']]}, kept: {', '.join(kept)}")
    right += all(value == {"colour": COLOURS, "shape": SHAPES}[name][now[name]] for name, value in words.items())
    lines.append(torch.cat([scene.scenes.images[0], edited.picture[0]], -1))
pixels = (torch.cat(lines, -2).clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
Image.fromarray(pixels).save("edits.png")
print(f"right: {50 * right} %")
