"""ActionCLIP in the embedded world with the mean of the frames: blind to order, so that opposites are one to it.

Command:   clipkit train actionclip/actionclip_tiny_films_meanp.py
Hardware:  2 CPU cores
Time:      not yet measured
Expected:  not yet measured; at most one of each pair of opposites right, 50 %
"""

_base_ = ["./actionclip_tiny_films.py"]

model = dict(head=dict(_delete_=True, type="meanP"))
