"""The same questions, trained and answered without a picture: what their words give away.

Command:   clipkit train vqa/vqa_tiny_shapes_blind.py
Hardware:  1 CPU core
Time:      not measured yet
Expected:  not measured yet
"""

_base_ = ["./vqa_tiny_shapes.py"]

model = dict(blind=True)
