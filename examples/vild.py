"""ViLD as a library: train a detector on some classes, then ask it for others by name.

    python examples/vild.py

About six minutes on a laptop, no download; a tenth of the config's schedule, on 256 scenes.
"""

import tempfile

from torchvision.ops import box_iou

from clipkit.engine import Detector, build_runner
from clipkit.shapes import class_names, render

CONFIG = "vild/vild_tiny_shapes.py"

with tempfile.TemporaryDirectory() as folder:
    options = {
        "train_cfg.max_iters": 200,
        "train_cfg.val_interval": 200,
        "param_scheduler.1.end": 200,
        "train_dataloader.dataset.length": 256,
        "val_dataloader.dataset.length": 32,
        "variables.teacher": f"{folder}/teacher",  # CLIP's view of the scenes' regions, computed once
    }
    runner = build_runner(CONFIG, work_dir=folder, seed=0, cfg_options=options)
    runner.train()
    detector = Detector.load(CONFIG, folder, cfg_options=options)

names = class_names()[:96]  # all pairs of colour and shape: the 24 novel ones were never labelled
found_rightly = objects = 0
scenes = render(32, size=128, seed=7, objects=(2, 5))
for image, boxes, ids, present in zip(
    scenes.images, scenes.boxes, scenes.colour * 12 + scenes.shape, scenes.present, strict=True
):
    found = detector(image, names)  # .boxes, .masks, .labels, .scores; any list of words
    overlap = box_iou(boxes[present].float(), found.boxes) > 0.5
    found_rightly += int((overlap & (found.labels == ids[present][:, None])).any(1).sum())
    objects += int(present.sum())
print(f"objects that a box with the right one of {len(names)} names covers: {100 * found_rightly / objects:.1f} %")
