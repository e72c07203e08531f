"""ViLD-text in the embedded world: no distillation. Beside vild_tiny_shapes.py it shows what distillation adds.

Command:   clipkit train vild/vild_tiny_shapes_text.py
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      not yet measured (aim: 20 minutes)
Expected:  base and novel AP50 of the whole schedule: not yet measured; after 800 of 2,000 steps base 73.6, novel 57.1
           (seed 0, 2026-11-21); table in work_dirs/vild_tiny_shapes_text
"""

_base_ = ["./vild_tiny_shapes.py"]

model = dict(variant="text")
