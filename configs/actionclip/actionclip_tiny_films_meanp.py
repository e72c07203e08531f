"""ActionCLIP in the embedded world with the mean of the frames: blind to order, so that opposites are one to it.

Command:   clipkit train actionclip/actionclip_tiny_films_meanp.py
Hardware:  2 CPU cores
Time:      3 minutes on one core (AMD EPYC, shared, 2026-11-22)
Expected:  top-1 26.7, top-5 81.7 (seed 0), where one of each pair of opposites would be 50; unseen_top1 8.3
"""

_base_ = ["./actionclip_tiny_films.py"]

model = dict(head=dict(_delete_=True, type="meanP"))
