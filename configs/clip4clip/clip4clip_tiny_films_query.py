"""CLIP4Clip in the embedded world with head query_scoring: frames weighted by the sentence, blind to order.

Command:   clipkit train clip4clip/clip4clip_tiny_films_query.py
Hardware:  2 CPU cores
Time:      not yet measured
Expected:  pairs 50.00 exactly, since it is blind to order; static not yet measured
"""

_base_ = ["./clip4clip_tiny_films.py"]

model = dict(head=dict(_delete_=True, type="query_scoring"))
