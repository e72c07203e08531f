"""Long films in the embedded world, batches of films that are near each other: a story and its reverse come together.

Command:   clipkit train clip4clip/clip4clip_tiny_stories_retrieved.py
Hardware:  2 CPU cores
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["./clip4clip_tiny_stories.py"]

train_dataloader = dict(sampler=dict(_delete_=True, type="RetrievedBatchSampler", films="{films}", candidates=8))
