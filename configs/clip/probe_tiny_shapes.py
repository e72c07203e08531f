"""Linear probes on the shipped tiny CLIP: the four textures of the embedded world.

Command:   clipkit test clip/probe_tiny_shapes.py none
           other labels: --cfg-options variables.label=shape    (colour, stuff, count, composition)
Hardware:  CPU
Time:      41 s of CPU time (one core of an AMD EPYC, 2026-11-21)
Expected:  top-1 logistic 95.2 before the projection and 94.3 after it, ridge 82.0 and 81.6 (2026-11-21); zero-shot
           with one prompt: 52.1 (clip/fewshot_tiny_shapes.py)
"""

_base_ = ["../_base_/clip_zeroshot.py"]

variables = dict(label="texture")
model = dict(clip="tiny_clip")
test_dataloader = dict(dataset=dict(type="ShapesImages", length=1000, label="{label}"))
test_cfg = dict(
    _delete_=True,
    type="ProbeLoop",
    train=dict(type="ShapesImages", length=2000, seed=1, label="{label}"),
    val=dict(type="ShapesImages", length=500, seed=2, label="{label}"),
)
