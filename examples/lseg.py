"""LSeg as a library: train a segmenter whose labels are words, then ask it for words that no training image showed.

    python examples/lseg.py

About two minutes on a laptop, no download; a sixth of the config's schedule.
"""

import tempfile

from clipkit.engine import Segmenter, build_runner
from clipkit.shapes import class_names, render

CONFIG = "lseg/lseg_tiny_shapes.py"  # any config; `clipkit train` does the same from the command line
SHORT = {"train_cfg.max_iters": 200, "train_cfg.val_interval": 200, "param_scheduler.1.end": 200}

with tempfile.TemporaryDirectory() as folder:
    runner = build_runner(CONFIG, work_dir=folder, seed=0, cfg_options=SHORT)
    runner.train()
    segmenter = Segmenter.load(CONFIG, folder)

scenes = render(32, size=64, seed=7, subset="unseen", split="composition")  # pairs of colour and shape never trained
names = class_names()
right = total = 0
for image, truth in zip(scenes.images, scenes.semantic):
    found = segmenter(image, names)  # a path, a PIL image, an array or a tensor; any list of words
    objects = truth < 96  # the last six names are grounds
    right += int((found.labels == truth)[objects].sum())
    total += int(objects.sum())
print(f"pixels of unseen objects named rightly among {len(names)}: {100 * right / total:.1f} %")
print("shares of the last image:", {name: f"{share:.0f}" for name, share in found.shares().items()})
print("with three labels only:  ", list(segmenter(scenes.images[-1], "star, circle, something else").shares()))
