"""ViLD-ensemble in the embedded world: a head for text and a head for CLIP's view, joined by a geometric mean.

Command:   clipkit train vild/vild_tiny_shapes_ensemble.py
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      not yet measured (aim: 20 minutes)
Expected:  base and novel AP50: not yet measured; table in work_dirs/vild_tiny_shapes_ensemble
"""

_base_ = ["./vild_tiny_shapes.py"]

model = dict(variant="ensemble")
