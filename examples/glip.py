"""GLIP as a library: train a detector on lists of names and on captions, then ask it for names and in a sentence.

    python examples/glip.py

About two minutes on a laptop, no download; a quarter of the config's schedule.
"""

import tempfile

from torchvision.ops import box_iou

from clipkit.engine import Detector, build_runner
from clipkit.shapes import class_names, render, seen_mask

CONFIG = "glip/glip_tiny_shapes.py"

with tempfile.TemporaryDirectory() as folder:
    options = {
        "train_cfg.max_iters": 300,
        "train_cfg.val_interval": 300,
        "param_scheduler.1.end": 300,
        "train_dataloader.dataset.length": 2048,
        "val_dataloader.dataset.length": 32,
    }
    runner = build_runner(CONFIG, work_dir=folder, seed=0, cfg_options=options)
    runner.train()
    detector = Detector.load(CONFIG, folder, cfg_options=options)

names, seen = class_names()[:96], seen_mask("composition").tolist()
right = {True: 0, False: 0}
asked = {True: 0, False: 0}
scenes = render(64, seed=7)
ids = scenes.colour * 12 + scenes.shape
for image, boxes, labels, present in zip(scenes.images, scenes.boxes, ids, scenes.present, strict=True):
    for label in labels[present].unique().tolist():
        found = detector(image, [names[label]])  # one name: its best box
        truth = boxes[present & (labels == label)].float()
        hit = len(found) > 0 and bool((box_iou(found.boxes[:1], truth) > 0.5).any())
        right[seen[label]] += hit
        asked[seen[label]] += 1
for kind, words in ((True, "that training had"), (False, "that it never had")):
    print(f"pairs of colour and shape {words}: best box right {100 * right[kind] / asked[kind]:.1f} %")

sentence = detector.model.read_sentence("[a red circle] left of [a blue star]")
found = detector(scenes.images[0], sentence)
print(f"asked in a sentence: {', '.join(found.names)}; {len(found)} boxes, best {float(found.scores[:1].sum()):.2f}")
