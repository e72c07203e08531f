"""C26: heads that see a sequence can tell a film from its reverse. Runs of films.py.

expect:   pairs >= 95 % for seqLSTM and seqTransf, 90 % for tightTransf, against 50 % of the mean
"""

claim = "C26"
runs_of = "films"
arms = ("meanP", "seqLSTM", "seqTransf", "tightTransf")
statements = [
    dict(says="an LSTM sees order", metric="pairs", better="seqLSTM", than="meanP", by=45.0),
    dict(says="a transformer sees order", metric="pairs", better="seqTransf", than="meanP", by=45.0),
    dict(says="tight attention sees order", metric="pairs", better="tightTransf", than="meanP", by=40.0),
    dict(says="still films cost a transformer at most 2 points",
         metric="static", better="seqTransf", than="meanP", by=-2.0),
]  # fmt: skip
