"""ViLD-text on LVIS v1 base classes, the release's schedule. Its RPN then proposes the regions for vild_lvis.py.

Command:   torchrun --nproc_per_node=8 tools/train.py vild/vild_lvis_text.py       (data: see _base_/det_lvis.py)
Hardware:  256 images a step, for instance 8 GPUs with 32
Time:      not yet measured
Expected:  mask APr, APc, APf: not yet measured here (the paper's tables: 10.1, 23.9, 32.5)
"""

_base_ = ["../_base_/det_lvis.py"]

model = dict(
    type="ViLD",
    variant="text",
    classes=_base_.classes,
    base_classes=_base_.base_classes,
    text=_base_.text_rows,
    classifier=dict(type="ViLDClassifier"),
    **_base_.detector,
)
