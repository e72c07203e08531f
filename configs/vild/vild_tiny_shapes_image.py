"""ViLD-image in the embedded world: only CLIP's view of regions teaches what a region is; boxes and masks as ever.

Command:   clipkit train vild/vild_tiny_shapes_image.py
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      not yet measured (aim: 20 minutes)
Expected:  base and novel AP50: not yet measured; table in work_dirs/vild_tiny_shapes_image
"""

_base_ = ["./vild_tiny_shapes.py"]

model = dict(variant="image")
