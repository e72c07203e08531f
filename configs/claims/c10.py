"""C10: a CLIP teacher makes a student converge faster. mmseg's FCN with and without `DistilledModel` on 10 % of 20,480
scenes, validated every 200 steps; mIoU over the seen classes.

command:  python tools/claim.py C10 --seeds 10-14
hardware: 2 CPU cores, or one GPU
time:     5 to 10 minutes a run on one core (AMD EPYC, shared, 2026-11-22)
"""

claim = "C10"
arms = {
    name: dict(
        function="clipkit.claims.curve.run",
        kwargs=dict(config=config, metric="mIoU", every=200, cfg_options={"train_dataloader.dataset.length": 2048}),
    )
    for name, config in (
        ("alone", "fusion/fcn_tiny_shapes.py"),
        ("taught", "distillation/fcn_tiny_shapes_distilled.py"),
    )
}
statements = [
    dict(says=f"the taught student is ahead at step {step}", metric=f"at {step}", better="taught", than="alone")
    for step in (200, 400, 600, 1000)
]
