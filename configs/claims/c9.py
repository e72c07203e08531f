"""C9: CLIP features help a host most when labels are few. mmseg's FCN with and without `FusedBackbone` on 1, 10 and
100 % of 20,480 scenes, the same number of steps; mIoU over the seen classes.

command:  python tools/claim.py C9 --seeds 10-14
hardware: 2 CPU cores, or one GPU
time:     4 to 6 minutes a run on one core (AMD EPYC, shared, 2026-11-22)
"""

claim = "C9"
arms = {
    f"{name} {percent}%": dict(
        config=f"fusion/{config}.py",
        metric="mIoU",
        cfg_options={"train_dataloader.dataset.length": 20480 * percent // 100},
    )
    for percent in (1, 10, 100)
    for name, config in (("host", "fcn_tiny_shapes"), ("fused", "fcn_tiny_shapes_fused"))
}
statements = [
    dict(
        says=f"CLIP's features help at {percent} %", metric="score", better=f"fused {percent}%", than=f"host {percent}%"
    )
    for percent in (1, 10, 100)
] + [
    dict(
        says="they help more at 1 % than at 100 %", metric="score",
        better=("fused 1%", "host 1%"), than=("fused 100%", "host 100%"),
    )
]  # fmt: skip
