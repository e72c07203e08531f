"""Claim C24: captions lift the classes that boxes are rare for. Three of the twelve shapes are in no list of names;
with captions, a quarter of the prompts, the same pictures' phrases name them. AP50 of the 24 names of these shapes.

command:  python tools/claim.py C24 --seeds 10-12
"""

claim = "C24"


def _arm(captions: float) -> dict:
    options = {
        "train_dataloader.dataset.split": "shape",
        "train_dataloader.dataset.subset": "all",
        "train_dataloader.dataset.pipeline.0.classes": "shapes:objects:shape",
        "train_dataloader.dataset.pipeline.0.captions": captions,
        "val_dataloader.dataset.split": "shape",
    }
    return dict(config="glip/glip_tiny_shapes.py", metric=("novel_AP50", "base_AP50"), cfg_options=options)


arms = {"lists": _arm(0.0), "lists and captions": _arm(0.25)}
statements = [
    dict(says="captions are worth 10 points", metric="novel_AP50", better="lists and captions", than="lists", by=10)
]
