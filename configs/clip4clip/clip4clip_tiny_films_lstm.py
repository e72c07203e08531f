"""CLIP4Clip in the embedded world with head seqLSTM: an LSTM.

Command:   clipkit train clip4clip/clip4clip_tiny_films_lstm.py
Hardware:  2 CPU cores
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["./clip4clip_tiny_films.py"]

model = dict(head=dict(type="seqLSTM"))  # with contrast, as its base
