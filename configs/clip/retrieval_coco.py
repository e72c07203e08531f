"""Image and text retrieval on COCO's 5,000 test images (Karpathy's split).

Command:   clipkit test clip/retrieval_coco.py none --cfg-options variables.data=data/coco
           (dataset_coco.json and the folder val2014 lie there)
Hardware:  CPU or GPU
Time:      not yet measured
Expected:  not yet measured here. open_clip's table has R@1 30.4 text to image and 50.1 image to text for these weights
"""

_base_ = ["../_base_/clip_zeroshot.py"]

variables = dict(data="data/coco")
test_dataloader = dict(
    dataset=dict(type="KarpathyImages", annotations="{data}/dataset_coco.json", images="{data}", captions=5)
)
test_cfg = dict(type="ImageTextLoop")
