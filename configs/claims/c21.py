"""C21: a learned background beats the word "background". ViLD-text, AP50 over all 96 classes.

command:  python tools/claim.py C21 --seeds 10-14
hardware: 2 CPU cores with bfloat16 units, or one GPU
time:     not yet measured
expect:   AP50: learned > word
"""

claim = "C21"
METRICS = ("novel_AP50", "base_AP50", "AP50", "novel_AP", "base_AP")
arms = {
    kind: dict(
        config="vild/vild_tiny_shapes_text.py", cfg_options={"model.classifier.background": kind}, metric=METRICS
    )
    for kind in ("learned", "word")
}
statements = [dict(says="a learned background beats the word", metric="AP50", better="learned", than="word")]
