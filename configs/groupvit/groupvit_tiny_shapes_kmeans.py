"""k-means in place of learned groups, named by the same training: what GroupViT's grouping is compared with.

Command:   clipkit train groupvit/groupvit_tiny_shapes_kmeans.py
Hardware:  2 CPU cores
Time:      135 s of CPU time (one core of an AMD EPYC, shared with other work, 2026-11-30)
Expected:  mIoU seen 43.5, unseen 38.5, oracle 51.2, found 94.1, precision 66.9 (seed 0, 2026-11-30)
"""

_base_ = ["./groupvit_tiny_shapes_frozen.py"]

model = dict(encoder=dict(_delete_=True, type="KMeansEncoder", dim=96, heads=4, depth=2, clusters=8, cache=True))
