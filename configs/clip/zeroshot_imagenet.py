"""Zero-shot classification of ImageNet's validation set (or V2's, Sketch's: any folder of the 1,000 synsets).

Command:   clipkit test clip/zeroshot_imagenet.py none --cfg-options variables.images=data/imagenet/val
Hardware:  one GPU, or patience; a killed run goes on where it stopped
Time:      not yet measured
Expected:  not yet measured here. open_clip's table has 63.3 top-1 for these weights with 80 prompts; on ImageNet-V2
           OpenAI's notebook has 55.93 top-1, 83.36 top-5
"""

_base_ = ["../_base_/clip_zeroshot.py"]

variables = dict(images="data/imagenet/val")
test_dataloader = dict(dataset=dict(type="ImageFolder", root="{images}", names="imagenet"))
