"""The same questions, trained and answered without a picture: what their words give away.

Command:   clipkit train vqa/vqa_tiny_shapes_blind.py
Hardware:  1 CPU core
Time:      61 s of CPU time (AMD EPYC, shared, 2026-11-30)
Expected:  all 26.7, count 44.1, existence 44.7, relation 53.6 (seed 0)
"""

_base_ = ["./vqa_tiny_shapes.py"]

model = dict(blind=True)
