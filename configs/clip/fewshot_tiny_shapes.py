"""Few-shot adapters on the tiny CLIP: the four textures of the embedded world, whose bare words it knows badly.

Command:   clipkit test clip/fewshot_tiny_shapes.py none
           another style or label: --cfg-options variables.style=night variables.label=shape
Hardware:  CPU
Time:      not yet measured
Expected:  not yet measured
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
