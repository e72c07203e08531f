"""Claim C33: distance words order depth without depth labels.

Zhang et al., ACM MM 2022. Scenes whose objects differ in size, so that looking large is not being near; pixels of
objects. "constant" is the median of the measured depths, for which there is no rank. In percent.

command:  clipkit claim C33 --seeds 10-14
hardware: 1 CPU core
time:     about a minute of CPU time a seed
"""

claim = "C33"
arms = {
    "words": dict(
        function="clipkit_plugins.depthclip.claims.measure",
        kwargs=dict(
            words={
                "distance words": "depthclip/depthclip_tiny_shapes.py",
                "paper's words": "depthclip/depthclip_tiny_shapes_paper.py",
                "size words": "depthclip/depthclip_tiny_shapes_size.py",
            },
            fitted={"fitted distances": "depthclip/depthclip_tiny_shapes_bins.py"},
        ),
        arms=("distance words", "paper's words", "size words", "fitted distances", "constant"),
    ),
}
statements = [
    dict(
        says="words that captions had order depth; the paper's words, asked of a CLIP that never heard them, do not",
        metric="spearman",
        better="distance words",
        than="paper's words",
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
