"""Claim C37: where speech is late, windows that overlap teach more than aligned ones, and batches of near films more
than random ones. Xu et al. 2021, sections 3.2 and 3.3.

Stories of 32 to 64 seconds, whose sentences come up to 2 seconds late in training and never in the test; a story and
its reverse share their frames. The films are rendered and embedded once, by whichever run comes first.

command:  clipkit claim C37 --seeds 10-12
hardware: 1 CPU core
time:     about half a minute of CPU time a run, and once 40 s for the films
"""

claim = "C37"
METRICS = ("t2v_R@1", "v2t_R@1", "frame_accuracy", "pairs", "static")
_FILE = "clip4clip/clip4clip_tiny_stories{}.py"


def _arm(sibling: str = "", **options) -> dict:
    return dict(config=_FILE.format(sibling), metric=METRICS, cfg_options=options)


_TIMELY = {"variables.lag": 0.0}
arms = {
    "overlapped": _arm(),
    "aligned": _arm("_aligned"),
    "overlapped in time": _arm(**_TIMELY),
    "aligned in time": _arm("_aligned", **_TIMELY),
    "retrieved": _arm("_retrieved"),
}
statements = [
    dict(says="overlapping helps where speech is late", metric="t2v_R@1", better="overlapped", than="aligned"),
    dict(says="so it does for segmentation", metric="frame_accuracy", better="overlapped", than="aligned"),
    dict(
        says="it helps where speech is in time",
        metric="t2v_R@1",
        better="overlapped in time",
        than="aligned in time",
    ),
    dict(says="batches of near films help", metric="t2v_R@1", better="retrieved", than="overlapped"),
    dict(says="above all to tell near films apart", metric="pairs", better="retrieved", than="overlapped"),
]
