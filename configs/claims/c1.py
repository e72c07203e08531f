"""Claim C1: transfer grows with model size.

Radford et al. 2021, section 3.1.5 and figure 9. Three tiny CLIPs on the same data and schedule: widths 72, 144, 216,
image blocks 2, 4, 6; zero-shot accuracy among 96 names.

command:  clipkit claim C1 --seeds 10-14
hardware: one GPU, or 2 CPU cores with bfloat16 units and a night
time:     not yet measured
"""

claim = "C1"
_RUN = dict(function="clipkit_plugins.clip.claim_pretraining.pretrain")
arms = {
    "small": dict(_RUN, kwargs=dict(iterations=1500, model="tiny-shapes-s")),
    "middle": dict(_RUN, kwargs=dict(iterations=1500)),
    "large": dict(_RUN, kwargs=dict(iterations=1500, model="tiny-shapes-l")),
}
statements = [
    dict(says="the middle one is better than the small one", metric="top1", better="middle", than="small"),
    dict(says="the large one is better than the middle one", metric="top1", better="large", than="middle"),
]
