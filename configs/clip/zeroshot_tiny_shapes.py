"""Zero-shot classification of the embedded world's single objects by the shipped tiny CLIP, among 96 names.

Command:   clipkit test clip/zeroshot_tiny_shapes.py none
           other names: --labels "red star; scarlet star, orange star, unicorn"
           other labels or a shift: --cfg-options
               test_dataloader.dataset.label=texture test_dataloader.dataset.style=night
Hardware:  CPU
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["../_base_/clip_zeroshot.py"]

model = dict(clip="tiny_shapes", pretrained=None)
test_dataloader = dict(dataset=dict(type="ShapesImages", length=2000))
