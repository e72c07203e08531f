"""MaskCLIP on COCO-Stuff 164k: whole images, no refinement. Nothing trains.

Prompt denoising: model.denoise=0.5. Key smoothing is not here: a CLIP's features hold no keys of its attention.

Command:   clipkit test dense_clip/maskclip_cocostuff.py none --cfg-options variables.data=PATH
Data:      see configs/_base_/seg_cocostuff.py
Hardware:  any; a GPU for the whole data set
Time:      not measured here
Expected:  not measured here. The paper prints mIoU 12.5, with 85 prompts instead of 80.
"""

_base_ = ["./sclip_cocostuff.py"]

variables = dict(resize=(2048, 512))

model = dict(text=dict(dense="maskclip"), logit_scale=100.0, test_cfg=dict(_delete_=True, mode="whole"))
