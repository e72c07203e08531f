"""C25: mean pooling cannot tell a film from its reverse. Of sitting down and standing up it takes the right one by
luck. Equal scores count a half, so what is blind to order has exactly 50. Runs of films.py.
"""

claim = "C25"
runs_of = "films"
arms = ("meanP", "query scoring", "wti", "seqTransf")
statements = [
    dict(says="order is worth 40 points and more", metric="pairs", better="seqTransf", than="meanP", by=40.0),
    dict(says="nor do weights of frames help: query scoring is within 0.1 of the mean",
         metric="pairs", better="meanP", than="query scoring", by=-0.1),
    dict(says="nor word by word: WTI is within 0.1 of the mean",
         metric="pairs", better="meanP", than="wti", by=-0.1),
]  # fmt: skip
