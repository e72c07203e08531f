"""CLIP4Clip in the embedded world, seqTransf, with the text tower frozen too: only the head trains.

Command:   clipkit train clip4clip/clip4clip_tiny_films_frozen.py
Hardware:  2 CPU cores
Time:      2.5 minutes on one core (AMD EPYC, 2026-11-22)
Expected:  pairs 61.3: direction 52.0, reversed 71.0, order 72.5, speed 49.5; static 99.5 (seed 0): frozen sentences of
           opposites are too much alike
"""

_base_ = ["./clip4clip_tiny_films.py"]

variables = dict(strings=False)
model = dict(tune=None)
