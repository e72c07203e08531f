"""Zero-shot classification of the embedded world's single objects by the shipped tiny CLIP, among 96 names.

Command:   clipkit test clip/zeroshot_tiny_shapes.py none
           other names: --labels "red star; scarlet star, orange star, unicorn"
           other labels or a shift: --cfg-options
               test_dataloader.dataset.label=texture test_dataloader.dataset.style=night
Hardware:  CPU
Time:      15 s of CPU time (one core of an AMD EPYC, 2026-11-21), most of it for 80 x 96 prompts
Expected:  top-1 98.45, 98.30, 98.35, 98.40 by the bare name and by 1, 7 and 80 prompts, top-5 99.9 and more
           (2026-11-21; nothing is random)
"""

_base_ = ["../_base_/clip_zeroshot.py"]

model = dict(clip="tiny_clip")
test_dataloader = dict(dataset=dict(type="ShapesImages", length=2000))
