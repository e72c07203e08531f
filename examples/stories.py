"""Long films whose sentences come late: draw pairs as VideoCLIP does, train on them, and say what each second shows.

    python examples/stories.py

About two minutes on a laptop, no download: stories of 32 to 64 seconds, as real video files.
"""

import tempfile

import torch

from clipkit.data import OverlappedPairs
from clipkit.engine import build_runner
from clipkit.evaluation import frame_accuracy, segment_film

CONFIG = "clip4clip/clip4clip_tiny_stories.py"  # clip4clip_narrated.py reads your own films and a table

with tempfile.TemporaryDirectory() as folder:
    options = {
        "train_cfg.max_iters": 200,
        "train_cfg.val_interval": 200,
        "param_scheduler.1.end": 200,
        "variables.stories": f"{folder}/train",
        "variables.test_stories": f"{folder}/test",
        "variables.store": f"{folder}/store",  # frames are embedded once; a window is a slice of them
        "train_dataloader.dataset.n": 32,
        "val_dataloader.dataset.n": 8,
        "test_dataloader.dataset.n": 8,
    }
    runner = build_runner(CONFIG, work_dir=folder, seed=0, cfg_options=options)

    # What a film gives in an epoch depends on the seed, the epoch and the film alone.
    said = runner.train_dataloader.dataset.about[0]["said"]
    for pair in OverlappedPairs(seconds=(3, 8), words=(1, 8), pairs=3)("a film", said, duration=48.0, epoch=0):
        told = " to ".join(f"{second:.1f}" for second in (said[pair.first].start, said[pair.last - 1].end))
        print(f"film {pair.start} to {pair.end} s, said {told} s: {pair.text}")

    before = runner.val()
    runner.train()
    after = runner.val()

    model, story = runner.bare_model, runner.val_dataloader.dataset[0]
    with torch.no_grad():
        (text,) = model.embed_texts(story["texts"])
    found = segment_film(model.head, text, story["frames"], story["times"], window=4.0)

for start in range(0, len(found), 8):  # two frames a second
    print(f"{float(story['times'][start]):4.0f} s  {story['texts'][found[start]]}")
spans = [(one.start, one.end) for one in story["said"]]
right = frame_accuracy(found, story["times"], spans, story["texts"])
print(f"frames of this story named right: {100 * float(right.double().mean()):.1f} %")
print(f"events found by their sentences, before: {before['t2v_R@1']:.1f} %, after: {after['t2v_R@1']:.1f} %")
