"""Image and text retrieval on Flickr30k's 1,000 test images (Karpathy's split).

Command:   clipkit test clip/retrieval_flickr30k.py none --cfg-options variables.data=data/flickr30k
           (dataset_flickr30k.json and the folder flickr30k-images lie there)
Hardware:  CPU or GPU
Time:      not yet measured
Expected:  not yet measured here. open_clip's table has R@1 58.8 text to image and 78.9 image to text for these weights
"""

_base_ = ["../_base_/clip_zeroshot.py"]

variables = dict(data="data/flickr30k")
test_dataloader = dict(
    dataset=dict(type="KarpathyImages", annotations="{data}/dataset_flickr30k.json", images="{data}/flickr30k-images")
)
test_cfg = dict(type="ImageTextLoop")
