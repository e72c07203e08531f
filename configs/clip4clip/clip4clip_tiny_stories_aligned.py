"""Long films in the embedded world, each window with the ends of its sentences: what overlapping is compared with.

Command:   clipkit train clip4clip/clip4clip_tiny_stories_aligned.py
Hardware:  2 CPU cores
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["./clip4clip_tiny_stories.py"]

train_dataloader = dict(dataset=dict(pairs=dict(aligned=True)))
