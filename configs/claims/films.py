"""The runs that C25 and C26 are read off: every temporal head on frozen frame embeddings, films of all tasks.

The sequential heads have `contrast=True`, which the paper's have not; see plugins/clip4clip/README.md for why.

The films are rendered and embedded once, by whichever run comes first: with --jobs, let one run begin alone.

command:  python tools/claim.py films --seeds 10-14
hardware: 2 CPU cores
time:     4 to 5 minutes a run on one core, tightTransf 6
"""

claim = "Films"
METRICS = ("pairs", "direction", "reversed", "order", "speed", "static")
_FILE = "clip4clip/clip4clip_tiny_films{}.py"
arms = {
    "meanP": dict(config=_FILE.format("_meanp"), metric=METRICS),
    "query scoring": dict(config=_FILE.format("_query"), metric=METRICS),
    "wti": dict(config=_FILE.format("_wti"), metric=METRICS),
    "seqLSTM": dict(config=_FILE.format("_lstm"), metric=METRICS),
    "seqTransf": dict(config=_FILE.format(""), metric=METRICS),
    "tightTransf": dict(config=_FILE.format("_tight"), metric=METRICS),
}
