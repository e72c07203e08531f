"""Claim C32: its errors complement a 3D network's: both together are above each alone.

Zhang et al., CVPR 2022, section 4.3. The clouds of C31; the mean of the adapter's and a PointNet's probabilities, of 2
and 4 clouds a class.

command:  clipkit claim C32 --seeds 10-12
hardware: 1 CPU core
time:     40 s of CPU time a seed, views included (AMD EPYC, shared, 2026-11-30)
"""

claim = "C32"
arms = {
    "shots": dict(
        function="clipkit_plugins.pointclip.claims.few_shot",
        kwargs=dict(config="pointclip/pointclip_tiny_scans.py", shots=(2, 4), parts=("adapter", "network", "top1")),
        arms=("adapter", "network", "top1"),
    )
}
statements = [
    dict(says=f"both are above the {name} at {count} clouds a class", metric=str(count), better="top1", than=part)
    for count in (2, 4)
    for part, name in (("adapter", "adapter"), ("network", "PointNet"))
]
