"""Claim C17: more groups find more of a crowded scene. 2, 4 and 8 groups, scenes of 4 to 6 objects; `found` is the
share of the classes shown that are named, read beside `precision`: more groups with more wrong names are no gain.
"""

claim = "C17"
METRICS = ("found", "precision", "mIoU", "oracle", "groups")


def _arm(groups: int) -> dict:
    return dict(
        config="groupvit/groupvit_tiny_shapes_frozen.py",
        metric=METRICS,
        cfg_options={
            "model.encoder.tokens": [groups, 0],
            "model.encoder.groups": [groups, 0],
            "train_dataloader.dataset.objects": [4, 6],
            "val_dataloader.dataset.objects": [4, 6],
            "test_dataloader.dataset.objects": [4, 6],
        },
    )


arms = {f"{groups} groups": _arm(groups) for groups in (2, 4, 8)}
statements = [
    dict(says="8 groups find more than 4", metric="found", better="8 groups", than="4 groups"),
    dict(says="4 groups find more than 2", metric="found", better="4 groups", than="2 groups"),
    dict(says="8 groups are as precise as 4", metric="precision", better="8 groups", than="4 groups", by=-2.0),
]
