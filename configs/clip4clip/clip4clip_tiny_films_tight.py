"""CLIP4Clip in the embedded world with head tightTransf: a transformer over sentence and frames.

Command:   clipkit train clip4clip/clip4clip_tiny_films_tight.py
Hardware:  2 CPU cores
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["./clip4clip_tiny_films.py"]

model = dict(head=dict(type="tightTransf"))
