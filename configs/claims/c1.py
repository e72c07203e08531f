"""C1: transfer grows with model size. Radford et al. 2021, section 3.1.5 and figure 9. Runs of pretraining.py.

Three tiny CLIPs on the same data and schedule: image blocks 1, 2, 4 of width 36, 72, 144, text blocks 1, 2, 4 of width
32, 48, 80; zero-shot accuracy among 96 names.
"""

claim = "C1"
runs_of = "pretraining"
arms = ("smallest", "small", "tiny")
statements = [
    dict(says="the middle one is better than the smallest one", metric="top1", better="small", than="smallest"),
    dict(says="the largest one is better than the middle one", metric="top1", better="tiny", than="small"),
]
