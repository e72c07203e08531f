"""CLIP4Clip in the embedded world with head query_scoring: frames weighted by the sentence, blind to order.

Command:   clipkit train clip4clip/clip4clip_tiny_films_query.py
Hardware:  2 CPU cores
Time:      4 minutes on one core (AMD EPYC, shared, 2026-11-22)
Expected:  pairs 50.00 exactly, since it is blind to order; static 99.2 (seeds 10 to 12)
"""

_base_ = ["./clip4clip_tiny_films.py"]

model = dict(head=dict(_delete_=True, type="query_scoring"))
