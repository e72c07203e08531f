"""Claim C33: distance words order depth without depth labels.

Zhang et al., ACM MM 2022. Scenes whose objects differ in size, so that looking large is not being near; pixels of
objects. "constant" is the median of the measured depths, for which there is no rank. In percent.

command:  clipkit claim C33 --seeds 10-12
hardware: 1 CPU core
time:     not measured yet
"""

claim = "C33"
_RUN = "clipkit_plugins.depthclip.claims.measure"
_CONFIG = "depthclip/depthclip_tiny_shapes{}.py"
arms = {
    "words": dict(
        function=_RUN,
        kwargs=dict(config=_CONFIG.format(""), arm="distance words"),
        arms=("distance words", "constant"),
    ),
    "paper": dict(
        function=_RUN,
        kwargs=dict(config=_CONFIG.format("_paper"), arm="the paper's words"),
        arms=("the paper's words",),
    ),
    "size": dict(function=_RUN, kwargs=dict(config=_CONFIG.format("_size"), arm="size words"), arms=("size words",)),
    "fitted": dict(
        function=_RUN,
        kwargs=dict(config=_CONFIG.format("_bins"), arm="fitted distances", pictures=20),
        arms=("fitted distances",),
    ),
}
statements = [
    dict(
        says="words that captions had order depth, the paper's words of a CLIP that never heard them do not",
        metric="spearman",
        better="distance words",
        than="the paper's words",
        by=40,
    ),
    dict(says="they tell more than size", metric="spearman", better="distance words", than="size words", by=20),
    dict(says="their errors are smaller than a constant's", metric="abs_rel", better="constant", than="distance words"),
    dict(
        says="distances fitted to 20 pictures make them smaller",
        metric="abs_rel",
        better="distance words",
        than="fitted distances",
    ),
]
