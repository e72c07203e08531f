"""Claim C13: one or two regularisation blocks help, many collapse. LSeg with bottleneck blocks of depth 0 (the arm
"lseg"), 1, 2 and 4; harmonic mean of the "open" test. Runs of lseg.py.
"""

claim = "C13"
runs_of = "lseg"
arms = ("lseg", "depth 1", "depth 2", "depth 4")
statements = [
    dict(says="one block helps", metric="open.harmonic_mean", better="depth 1", than="lseg"),
    dict(says="two blocks help", metric="open.harmonic_mean", better="depth 2", than="lseg"),
    dict(says="four collapse", metric="open.harmonic_mean", better="lseg", than="depth 4", by=5),
]
