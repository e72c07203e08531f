"""Claim C12: unseen labels are segmented, far above the closed classifier and training-free CLIP. "open" test: all 102
labels compete on scenes with unseen compositions; unseen mIoU. Runs of lseg.py.
"""

claim = "C12"
runs_of = "lseg"
arms = ("lseg", "linear", "vanilla", "maskclip", "sclip", "clearclip", "naclip")
statements = [
    dict(says="unseen labels, above the closed classifier", metric="open.unseen", better="lseg", than="linear", by=15),
    *(
        dict(says=f"15 points above {name}, training-free", metric="open.unseen", better="lseg", than=name, by=15)
        for name in arms[2:]
    ),
]
