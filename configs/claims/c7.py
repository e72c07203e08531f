"""C7: linear or non-linear projection makes no difference. Radford et al. 2021, section 2.3. Runs of pretraining.py.

The tiny CLIP with its linear projection of the image, and with a hidden layer of 256 and GELU in its place (open_clip's
towers have it for the image side alone); zero-shot accuracy among 96 names.
"""

claim = "C7"
runs_of = "pretraining"
arms = ("tiny", "non-linear")
statements = [
    dict(says="linear loses at most 2 points", metric="top1", better="tiny", than="non-linear", by=-2.0),
    dict(says="non-linear loses at most 2 points", metric="top1", better="non-linear", than="tiny", by=-2.0),
]
