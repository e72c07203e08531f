"""The same without aligned attention: a word has to find out by itself which cells it names.

Command:   clipkit train vqa/vqa_tiny_shapes_plain.py
Hardware:  1 CPU core
Time:      not measured yet
Expected:  not measured yet
"""

_base_ = ["./vqa_tiny_shapes.py"]

model = dict(aligned=False)
