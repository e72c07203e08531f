"""Long films in the embedded world, each window with the ends of its sentences: what overlapping is compared with.

Command:   clipkit train clip4clip/clip4clip_tiny_stories_aligned.py
Hardware:  2 CPU cores
Time:      about 27 s of CPU time (one core of an AMD EPYC, beside other work, 2026-11-30), and once 40 for the films
Expected:  not yet measured
"""

_base_ = ["./clip4clip_tiny_stories.py"]

train_dataloader = dict(dataset=dict(pairs=dict(aligned=True)))
