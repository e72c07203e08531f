"""Few-shot adapters on the tiny CLIP: the four textures of the embedded world, whose bare words it knows badly.

Command:   clipkit test clip/fewshot_tiny_shapes.py none
           another style or label: --cfg-options variables.style=night variables.label=shape
Hardware:  CPU
Time:      61 s of CPU time for 3 draws (one core of an AMD EPYC, 2026-11-21)
Expected:  top-1 at 1, 2, 4, 8, 16 shots, mean of 3 draws: zero-shot 50.8; linear probe 34.2, 39.6, 44.4, 49.5, 62.9;
           CoOp 47.4, 51.2, 59.8, 63.4, 70.2; CoOp per class 27.6, 30.8, 37.6, 44.3, 54.7; CLIP-Adapter 58.2, 60.8,
           66.5, 71.0, 77.5; Tip-Adapter 50.9, 50.8, 52.5, 56.6, 60.4; Tip-Adapter-F 50.9, 50.7, 54.6, 56.2, 62.7
           (2026-11-21)
"""

_base_ = ["../_base_/clip_zeroshot.py"]

variables = dict(style="photo", label="texture")
model = dict(clip="tiny_shapes", pretrained=None, templates=["photo"])
test_dataloader = dict(dataset=dict(type="ShapesImages", length=1000, style="{style}", label="{label}"))
test_cfg = dict(
    _delete_=True,
    type="FewShotLoop",
    train=dict(type="ShapesImages", length=1500, seed=1, style="{style}", label="{label}"),
    seeds=[0, 1, 2],
    coop=dict(batch=256, lr=0.02),
)
