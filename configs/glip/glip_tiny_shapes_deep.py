"""GLIP in the embedded world, deep: text and image read each other in every block of the tower.

Command:   clipkit train glip/glip_tiny_shapes_deep.py
Hardware:  1 CPU core (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      10.5 CPU minutes, the evaluation included (2026-11-30, 39 minutes beside other work)
Expected:  AP50 90.5, unseen pairs 88.9, phrase R@1 95.9 (seed 0); shallow, the same steps: 85.2, 83.6, 98.4
"""

_base_ = ["./glip_tiny_shapes.py"]

# What is said of a name depends on the others in its prompt, so they are asked as in training: about 36 at a time.
model = dict(bbox_head=dict(deep=True), test_cfg=dict(chunk_tokens=108))
