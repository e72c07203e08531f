"""The paper's two stages of grouping in the embedded world, 16 groups, then 8, on the frozen tiny CLIP's tokens.

Command:   clipkit train groupvit/groupvit_tiny_shapes_two_stages.py
Hardware:  2 CPU cores
Time:      not measured here
Expected:  not measured here: fewer groups are used than with one stage, and mIoU is far lower at equal steps
"""

_base_ = ["./groupvit_tiny_shapes_frozen.py"]

model = dict(encoder=dict(depths=(0, 2, 0), tokens=(16, 8, 0), groups=(16, 8, 0)))
