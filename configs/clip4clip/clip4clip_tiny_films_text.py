"""CLIP4Clip in the embedded world, seqTransf, with the text tower's blocks trained too; frames stay embedded once.

The tiny CLIP has never read "moves left" or "vanishes": its sentences for a film and for the reverse have a cosine of
0.98 to 0.99, and what they say of order is hard to use on sentences that were not trained on, whatever the head sees.
Here the text tower may learn it.

Command:   clipkit train clip4clip/clip4clip_tiny_films_text.py
Hardware:  2 CPU cores
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["./clip4clip_tiny_films.py"]

variables = dict(strings=True)
model = dict(tune=dict(unfreeze=["transformer.*", "ln_final.*", "text_projection"]))
