"""Depth of a picture by distance words: nothing is trained, nothing was measured.

    python examples/depthclip.py

Half a minute on a CPU, no download: clipkit's own distance_clip, and scenes whose depth is known. The picture goes to
depth.png in the system's folder for temporary files. `clipkit predict depthclip/... none photo.jpg` is the command.
"""

import tempfile
from pathlib import Path

import torch

from clipkit.engine.plugins import load_plugins
from clipkit.engine.registry import MODELS
from clipkit.evaluation.depth import depth_errors, pairs_in_order
from clipkit.predict.depth import DepthPredictor
from clipkit.shapes import DISTANCE_WORDS, depth_scenes
from clipkit.shapes.chunks import to_bytes

load_plugins("depthclip")
options = dict(words=DISTANCE_WORDS, stride=4, pool=2, temperature=2.0)
model = MODELS.build(dict(type="DepthCLIP", clip="distance_clip", **options)).eval()
print(dict(zip(model.words, [round(metres, 2) for metres in model.bins.tolist()])))

scenes = depth_scenes(64, seed=2**41)  # seeds that no training of the CLIP drew
found = model.depth(scenes.images)  # (64, H, W) metres

errors = [depth_errors(one, truth) for one, truth in zip(found, scenes.depth)]
print(f"mean |p - t| / t: {sum(error['abs_rel'] for error in errors) / len(errors):.3f}")

right = pairs = 0
for metres, objects, truth, present in zip(found, scenes.instances, scenes.distance, scenes.present):
    seen = present.nonzero().flatten()
    if len(seen) > 1:
        means = torch.stack([metres[objects == n + 1].mean() for n in seen])
        counts = pairs_in_order(means, truth[seen])
        right, pairs = right + counts[0], pairs + counts[1]
print(f"of two objects of a scene the nearer one is told: {100 * right / pairs:.1f} %, by chance 50 %")

path = Path(tempfile.gettempdir()) / "depth.png"
DepthPredictor(model)(to_bytes(scenes.images)[0]).save(path)
print(path)
