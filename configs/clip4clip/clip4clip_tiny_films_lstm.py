"""CLIP4Clip in the embedded world with head seqLSTM: an LSTM.

Command:   clipkit train clip4clip/clip4clip_tiny_films_lstm.py
Hardware:  2 CPU cores
Time:      4 minutes on one core (AMD EPYC, shared, 2026-11-21)
Expected:  pairs 98.0: direction 97.0, reversed 100, order 97.5, speed 97.5; static 99.0 (seed 0)
"""

_base_ = ["./clip4clip_tiny_films.py"]

model = dict(head=dict(type="seqLSTM"))  # with contrast, as its base
