"""The released GLIP-T on LVIS v1, all 1,203 names competing, without training.

Weights:   see glip_swin_t.py
Command:   clipkit test glip/glip_lvis.py glip_tiny.pth --cfg-options variables.images=PATH variables.data=PATH
           (the part called minival: variables.file=PATH.json)
Time:      not yet measured
Expected:  APr, AP on minival: not yet measured here (the paper's: 20.8, 26.0); fixed AP, which takes the best 10,000
           boxes of a class. LVIS's own, 300 a picture: test_evaluator.rule=lvis model.test_cfg.max_per_img=300
"""

_base_ = ["./glip_swin_t.py"]

variables = dict(images="data/coco", data="data/lvis_v1", file="{data}/annotations/lvis_v1_val.json")

model = dict(classes="{file}", test_cfg=dict(max_per_img=1000, chunk_tokens=200))
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoJsonDataset", ann_file="{file}", images="{images}", classes="{file}", check=False, on_bad="skip",
        pipeline=_base_.test_pipeline, test_mode=True,
    ),
)  # fmt: skip
test_evaluator = dict(type="DetectionAP", ann_file="{file}", kinds="bbox", rule="lvis_fixed")
test_cfg = dict(type="TestLoop")
