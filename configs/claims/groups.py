"""The runs that C15 and C16 are read off: learned groups and k-means, on the frozen tiny CLIP's tokens and from
scratch. mIoU says how well pixels are named, `oracle` how well they are cut out: what the best names would reach.

command:  clipkit claim groups --seeds 10-12
hardware: 2 CPU cores
time:     2 to 4 minutes of CPU time a run on frozen tokens, 8 from scratch
"""

claim = "Groups"
METRICS = ("mIoU", "seen", "unseen", "oracle", "found", "precision", "groups")


def _arm(kind: str, **more) -> dict:
    return dict(config=f"groupvit/groupvit_tiny_shapes{kind}.py", metric=METRICS, **more)


def _tested(kind: str, name: str, **tests) -> dict:
    """One training, and what it predicts in several ways."""
    options = {name: {}, **{f"{name} ({way})": option for way, option in tests.items()}}
    return _arm(kind, tests=options, arms=tuple(options))


_HARD = {"hard": {"model.soft": False}}  # each pixel has the name of one group
_CLUSTERS = {"k-means": {"model.clusters": "tokens"}, "colours": {"model.clusters": "colours"}}
arms = {
    "GroupViT": _tested("_frozen", "GroupViT", **_HARD),
    "two stages": _arm("_two_stages"),
    "k-means with trained names": _tested("_kmeans", "k-means with trained names", **_HARD),
    "k-means with CLIP's names": _arm("_kmeans_clip", train=False),
    "colours with CLIP's names": _arm("_kmeans_clip", cfg_options={"model.colours": True}, train=False),
    "from scratch": _tested("", "from scratch", **_HARD, **_CLUSTERS),
}
