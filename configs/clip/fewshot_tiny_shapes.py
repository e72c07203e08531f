"""Few-shot adapters on the tiny CLIP: the four textures of the embedded world, whose bare words it knows badly.

Command:   clipkit test clip/fewshot_tiny_shapes.py none
           another style or label: --cfg-options variables.style=night variables.label=shape
Hardware:  CPU
Time:      61 s of CPU time for 3 draws (one core of an AMD EPYC, 2026-11-21)
Expected:  top-1 at 1, 2, 4, 8, 16 shots, mean of 3 draws: zero-shot 52.1; linear probe 33.1, 37.7, 43.8, 48.5, 58.5;
           CoOp 52.7, 52.5, 58.3, 58.6, 69.2; CoOp per class 27.5, 29.8, 38.0, 45.2, 54.7; CLIP-Adapter 56.7, 60.5,
           66.0, 71.1, 76.4; Tip-Adapter 52.1, 52.0, 52.7, 54.9, 59.9; Tip-Adapter-F 52.1, 52.0, 54.3, 55.9, 63.1
           (2026-11-21)
"""

_base_ = ["../_base_/clip_zeroshot.py"]

variables = dict(style="photo", label="texture")
model = dict(clip="tiny_clip", templates=["photo"])
test_dataloader = dict(dataset=dict(type="ShapesImages", length=1000, style="{style}", label="{label}"))
test_cfg = dict(
    _delete_=True,
    type="FewShotLoop",
    train=dict(type="ShapesImages", length=1500, seed=1, style="{style}", label="{label}"),
    seeds=[0, 1, 2],
    coop=dict(batch=256, lr=0.02),
)
