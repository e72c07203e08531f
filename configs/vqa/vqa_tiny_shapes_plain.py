"""The same without aligned attention: a word has to find out by itself which cells it names.

Command:   clipkit train vqa/vqa_tiny_shapes_plain.py
Hardware:  1 CPU core
Time:      about a minute of CPU time (AMD EPYC, shared, 2026-11-30)
Expected:  all 55.5, colour 65.6, count 50.8, existence 47.7 (seed 0)
"""

_base_ = ["./vqa_tiny_shapes.py"]

model = dict(aligned=False)
