"""Claim C16: two stages of grouping beat one. Equal groups at the end (8), equal blocks, equal steps; frozen tokens and
the best-group loss in both.
"""

claim = "C16"
METRICS = ("mIoU", "seen", "unseen", "oracle", "found", "precision", "groups")
arms = {
    "one stage": dict(config="groupvit/groupvit_tiny_shapes_frozen.py", metric=METRICS),
    "two stages": dict(config="groupvit/groupvit_tiny_shapes_two_stages.py", metric=METRICS),
}
statements = [dict(says="two stages beat one", metric="mIoU", better="two stages", than="one stage")]
