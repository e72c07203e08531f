"""ViLD-image in the embedded world: only CLIP's view of regions teaches what a region is; boxes and masks as ever.

Command:   clipkit train vild/vild_tiny_shapes_image.py
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      22 minutes on one core (AMD EPYC, shared, 2026-11-21)
Expected:  base AP50 71.3, novel 67.5 (mean of seeds 0 to 2, 2026-11-22); table in work_dirs/vild_tiny_shapes_image
"""

_base_ = ["./vild_tiny_shapes.py"]

model = dict(variant="image")
