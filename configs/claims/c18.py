"""C18: distillation lifts novel classes: ViLD has at least 1.3 times the novel AP50 of ViLD-text.

Its four variants are also what C19 and C20 are read off. Each first run of a seed trains 20 minutes; the teacher's
embeddings are made once, by whichever run comes first: with --jobs, let one run begin alone.

command:  python tools/claim.py C18 --seeds 10-14
hardware: 2 CPU cores with bfloat16 units, or one GPU
time:     not yet measured
expect:   novel_AP50: vild >= 1.3 text
"""

claim = "C18"
METRICS = ("novel_AP50", "base_AP50", "AP50", "novel_AP", "base_AP")
arms = {
    "text": dict(config="vild/vild_tiny_shapes_text.py", metric=METRICS),
    "vild": dict(config="vild/vild_tiny_shapes.py", metric=METRICS),
    "ensemble": dict(config="vild/vild_tiny_shapes_ensemble.py", metric=METRICS),
    "image": dict(config="vild/vild_tiny_shapes_image.py", metric=METRICS),
}
statements = [dict(says="distillation lifts novel classes", metric="novel_AP50", better="vild", than="text", times=1.3)]
