"""ActionCLIP as a library: actions are sentences, so a trained model takes other names at any time.

    python examples/actionclip.py

About two minutes on a laptop, no download; part of the config's films and of its schedule.
"""

import tempfile

from clipkit.engine import build_runner

CONFIG = "actionclip/actionclip_tiny_films.py"  # actionclip_folder.py reads folders train/<action>, val/<action>
PARTS = ("train", "val", "test")

with tempfile.TemporaryDirectory() as folder:
    options = {
        "train_cfg.max_iters": 60,
        "train_cfg.val_interval": 60,
        "param_scheduler.0.end": 10,
        "param_scheduler.1.begin": 10,
        "param_scheduler.1.end": 60,
        "variables.films": f"{folder}/train",
        "variables.test_films": f"{folder}/test",
        "variables.store": f"{folder}/store",  # frames are embedded once, then only the prompt and the texts train
        "model.classes": ["grows", "shrinks", "appears", "vanishes"],
        "model.wordings.unseen": ["gets larger", "gets smaller", "comes into sight", "goes out of sight"],
        **{f"{part}_dataloader.dataset.{key}": ["reversed"] for part in PARTS for key in ("tasks", "actions")},
        **{f"{part}_dataloader.dataset.n": 80 for part in PARTS},
    }
    runner = build_runner(CONFIG, work_dir=folder, seed=0, cfg_options=options)
    runner.train()
    found = runner.val()

print(f"right among four actions, the same frames in another order among them: {found['top1']:.1f} %")
print(f"by other words for the same actions: {found['unseen_top1']:.1f} %")
