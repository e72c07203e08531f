"""Claim C7: a linear or a non-linear projection makes no difference.

Radford et al. 2021, section 2.3. The tiny CLIP with its linear projection of the image, and with a hidden layer of 256
and GELU in its place (open_clip's towers have it for the image side alone); zero-shot accuracy among 96 names.

command:  clipkit claim C7 --seeds 10-14
hardware: one GPU, or 2 CPU cores with bfloat16 units
time:     not yet measured
"""

claim = "C7"
_RUN = dict(function="clipkit_plugins.clip.claim_pretraining.pretrain")
arms = {
    "linear": dict(_RUN, kwargs=dict(iterations=1500)),
    "non-linear": dict(_RUN, kwargs=dict(iterations=1500, model="tiny-shapes-mlp")),
}
statements = [
    dict(says="linear loses at most 2 points", metric="top1", better="linear", than="non-linear", by=-2.0),
    dict(says="non-linear loses at most 2 points", metric="top1", better="non-linear", than="linear", by=-2.0),
]
