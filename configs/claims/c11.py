"""Claim C11: a text classifier costs nothing on closed labels. LSeg beside mmseg's linear classifier, "closed" test:
scenes of seen classes alone. (Among unseen objects the linear classifier must call them something, and its seen
classes lose by it: that is C12.) Runs of lseg.py.
"""

claim = "C11"
runs_of = "lseg"
arms = ("lseg", "linear")
statements = [
    dict(says="a text classifier costs at most 1 point", metric="closed.mIoU", better="lseg", than="linear", by=-1.0),
]
