"""CLIP4Clip in the embedded world, seqTransf, with the text tower frozen too: only the head trains.

Command:   clipkit train clip4clip/clip4clip_tiny_films_frozen.py
Hardware:  2 CPU cores
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["./clip4clip_tiny_films.py"]

variables = dict(strings=False)
model = dict(tune=None)
