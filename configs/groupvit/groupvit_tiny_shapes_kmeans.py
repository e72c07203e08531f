"""k-means in place of learned groups, named by the same training: what GroupViT's grouping is compared with.

Command:   clipkit train groupvit/groupvit_tiny_shapes_kmeans.py
Hardware:  2 CPU cores
Time:      not measured yet
Expected:  not measured yet
"""

_base_ = ["./groupvit_tiny_shapes_frozen.py"]

model = dict(encoder=dict(_delete_=True, type="KMeansEncoder", dim=96, heads=4, depth=2, clusters=8, cache=True))
