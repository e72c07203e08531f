"""C29: the KL objective beats cross-entropy over the batch when classes repeat. KL calls all sentences of a video's
class right, cross-entropy one, and pushes the others away: 64 pairs of films a batch, ten classes. Runs of actions.py.
"""

claim = "C29"
runs_of = "actions"
arms = ("KL", "row-normalised KL", "cross-entropy")
statements = [
    dict(says="the release's KL beats cross-entropy", metric="top1", better="KL", than="cross-entropy"),
    dict(says="so does KL with rows of sum 1", metric="top1", better="row-normalised KL", than="cross-entropy"),
]
