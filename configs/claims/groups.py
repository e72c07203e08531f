"""The runs that C15 is read off: learned groups and k-means, on the frozen tiny CLIP's tokens and from scratch. mIoU
says how well pixels are named, `oracle` how well they are cut out: what the best names would reach.

command:  clipkit claim groups --seeds 10-12
hardware: 2 CPU cores
time:     2 to 4 minutes of CPU time a run on frozen tokens, 7 from scratch
"""

claim = "Groups"
METRICS = ("mIoU", "seen", "unseen", "oracle", "found", "precision", "groups")
_FILE = "groupvit/groupvit_tiny_shapes{}.py"
_TESTS = {"open": {}}
arms = {
    "GroupViT": dict(config=_FILE.format("_frozen"), metric=METRICS, tests=_TESTS),
    "k-means, trained names": dict(config=_FILE.format("_kmeans"), metric=METRICS, tests=_TESTS),
    "k-means, CLIP's names": dict(config=_FILE.format("_kmeans_clip"), metric=METRICS, tests=_TESTS, train=False),
    "colours, CLIP's names": dict(
        config=_FILE.format("_kmeans_clip"),
        metric=METRICS,
        cfg_options={"model.colours": True},
        tests=_TESTS,
        train=False,
    ),
    "from scratch": dict(config=_FILE.format(""), metric=METRICS, tests=_TESTS),
}
