"""The same without aligned attention: a word has to find out by itself which cells it names.

Command:   clipkit train vqa/vqa_tiny_shapes_plain.py
Hardware:  1 CPU core
Time:      about a minute of CPU time (AMD EPYC, shared, 2026-11-30)
Expected:  test, after 600 steps: all 61.5, colour 68.5, count 51.8, existence 51.9 (mean of the seeds 10 and 11)
"""

_base_ = ["./vqa_tiny_shapes.py"]

model = dict(aligned=False)
