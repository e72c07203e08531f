"""ViLD-text in the embedded world: no distillation. Beside vild_tiny_shapes.py it shows what distillation adds.

Command:   clipkit train vild/vild_tiny_shapes_text.py
Hardware:  2 CPU cores (with bf16 instructions; without, add: --cfg-options optim_wrapper.type=OptimWrapper)
Time:      20 minutes on one core (AMD EPYC, shared, 2026-11-21)
Expected:  base AP50 91.4, novel 21.1 (mean of seeds 0 to 2, 2026-11-22); with variables.split=composition 91.3, 83.0;
           table in work_dirs/vild_tiny_shapes_text
"""

_base_ = ["./vild_tiny_shapes.py"]

model = dict(variant="text")
