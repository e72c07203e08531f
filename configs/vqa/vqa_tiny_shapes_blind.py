"""The same questions, trained and answered without a picture: what their words give away.

Command:   clipkit train vqa/vqa_tiny_shapes_blind.py
Hardware:  1 CPU core
Time:      61 s of CPU time (AMD EPYC, shared, 2026-11-30)
Expected:  test, after 600 steps: all 28.2, count 44.6, existence 50.0, relation 50.0 (mean of the seeds 10 and 11)
"""

_base_ = ["./vqa_tiny_shapes.py"]

model = dict(blind=True)
