"""The released GLIP-T on COCO's 80 names, without training.

Weights:   see glip_swin_t.py
Command:   clipkit test glip/glip_coco.py glip_tiny.pth --cfg-options variables.data=PATH
Time:      not yet measured
Expected:  AP: not yet measured here (the paper's: 46.3)
"""

_base_ = ["./glip_lvis.py"]

variables = dict(data="data/coco", file="{data}/annotations/instances_val2017.json", images="{data}/val2017")
test_evaluator = dict(rule="coco")
model = dict(test_cfg=dict(max_per_img=100))
