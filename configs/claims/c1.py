"""C1: transfer grows with model size. Radford et al. 2021, section 3.1.5 and figure 9. Runs of pretraining.py.

Three tiny CLIPs on the same data and schedule: widths 72, 144, 216, image blocks 2, 4, 6; zero-shot accuracy among 96
names.
"""

claim = "C1"
runs_of = "pretraining"
arms = ("small", "tiny", "large")
statements = [
    dict(says="the middle one is better than the small one", metric="top1", better="tiny", than="small"),
    dict(says="the large one is better than the middle one", metric="top1", better="large", than="tiny"),
]
