"""Claim C2: contrastive learning is several times more efficient than predicting the caption's words.

Radford et al. 2021, section 2.3 and figure 2. Images seen until 40 % zero-shot accuracy among 96 names; the same image
tower, scenes and schedule. An arm that never gets there counts with all its images.

command:  clipkit claim C2 --seeds 10-14
hardware: one GPU, or 2 CPU cores with bfloat16 units
time:     not yet measured
"""

claim = "C2"
_RUN = dict(function="clipkit_plugins.clip.claim_pretraining.pretrain")
arms = {
    "contrastive": dict(_RUN, kwargs=dict(iterations=1500)),
    "words": dict(_RUN, kwargs=dict(iterations=1500, words=True)),
}
statements = [
    dict(
        says="half as many images or fewer", metric="images_to_40", better="words", than="contrastive", times=2.0,
    )
]  # fmt: skip
