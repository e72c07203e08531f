"""Claim C36: a tower that was trained with captions answers questions better than others, all from their stored grids.

Shen et al., ICLR 2022, section 4.1. All arms but the first without aligned attention, which only a tower with a text
tower has: that is a second advantage of CLIP, read off apart. Textures and grounds stand apart too: a classifier of
colours and shapes never hears of them.

The classifier has the tiny CLIP's tower and steps, and learns the 96 names of one object's colour and shape.

command:  clipkit claim C36 --seeds 10-12
hardware: 1 CPU core
time:     1.5 minutes of CPU time a run (AMD EPYC, shared, 2026-11-30), and once 2 for each tower's grids
"""

claim = "C36"
METRICS = ("all", "macro", "colour", "shape", "texture", "count", "ground", "existence", "place", "relation")
_PLAIN = "vqa/vqa_tiny_shapes_plain.py"
_SHORT = {"train_cfg.max_iters": 600, "train_cfg.val_interval": 600, "param_scheduler.1.end": 600}
arms = {
    "aligned": dict(config="vqa/vqa_tiny_shapes.py", metric=METRICS, amp=True, cfg_options=_SHORT),
    "CLIP": dict(config=_PLAIN, metric=METRICS, amp=True, cfg_options=_SHORT),
    **{
        name: dict(
            function="clipkit_plugins.clip.claim_tower.towers_answers",
            kwargs=dict(config=_PLAIN, metric=METRICS, amp=True, cfg_options=_SHORT, steps=steps),
        )
        for name, steps in (("classifier", 1500), ("random tower", 0))
    },
    "blind": dict(config="vqa/vqa_tiny_shapes_blind.py", metric=METRICS, amp=True, cfg_options=_SHORT),
}
statements = [
    dict(
        says="CLIP's grid is worth more than a random tower's",
        metric="macro",
        better="CLIP",
        than="random tower",
        by=10.0,
    ),
    dict(says="than a classifier's", metric="macro", better="CLIP", than="classifier"),
    *(dict(says=f"of {kind}", metric=kind, better="CLIP", than="classifier") for kind in METRICS[2:]),
    dict(says="alignment is a second advantage", metric="macro", better="aligned", than="CLIP", by=5.0),
    dict(says="both see more than a blind model", metric="macro", better="CLIP", than="blind", by=20.0),
]
