"""Claim C31: the inter-view adapter lifts few-shot far above zero-shot.

Zhang et al., CVPR 2022, section 4.2 and figure 5. One-sided scans of the embedded world's twelve shapes, turned
anywhere, 256 points (pointclip/pointclip_tiny_scans.py), painted; zero-shot is the mean of ten views, weighted has view
weights that the same clouds teach, which the paper searches on the test labels.

command:  clipkit claim C31 --seeds 10-12
hardware: 1 CPU core
time:     40 s of CPU time a seed, views included (AMD EPYC, shared, 2026-11-30)
"""

claim = "C31"
arms = {
    "shots": dict(
        function="clipkit_plugins.pointclip.claims.few_shot",
        kwargs=dict(
            config="pointclip/pointclip_tiny_scans.py",
            shots=(1, 2, 4, 8, 16),
            parts=("zero-shot", "weighted", "adapter"),
            cfg_options={"model.network": None},
        ),
        arms=("zero-shot", "weighted", "adapter"),
    )
}
statements = [
    dict(says="one cloud a class is above zero-shot", metric="1", better="adapter", than="zero-shot"),
    dict(says="four are, by 20 points", metric="4", better="adapter", than="zero-shot", by=20.0),
    dict(says="sixteen are, by 30 points", metric="16", better="adapter", than="zero-shot", by=30.0),
    dict(says="sixteen are above learned view weights", metric="16", better="adapter", than="weighted"),
]
