"""ViLD-ensemble in the embedded world: a head for text and a head for CLIP's view, joined by a geometric mean.

Command:   clipkit train vild/vild_tiny_shapes_ensemble.py
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      23 minutes on one core (AMD EPYC, shared, 2026-11-21)
Expected:  base AP50 91.3, novel 48.9 (mean of seeds 0 to 2, 2026-11-22); table in work_dirs/vild_tiny_shapes_ensemble
"""

_base_ = ["./vild_tiny_shapes.py"]

model = dict(variant="ensemble")
