"""GLIP in the embedded world, deep: text and image read each other in every block of the tower.

Command:   clipkit train glip/glip_tiny_shapes_deep.py
Hardware:  1 CPU core
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["./glip_tiny_shapes.py"]

# What is said of a name depends on the others in its prompt, so they are asked as in training: about 36 at a time.
model = dict(bbox_head=dict(deep=True), test_cfg=dict(chunk_tokens=108))
