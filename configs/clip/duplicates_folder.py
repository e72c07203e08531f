"""Near-duplicates between your test images and your training images, folders with one folder a class each.

Command:   clipkit test clip/duplicates_folder.py none --cfg-options
               variables.train=photos/train variables.test=photos/test
Hardware:  any
Time:      20 ms an image on 2 CPU cores (an estimate from 8.8 GFLOPs an image), once
Expected:  depends on the images
"""

_base_ = ["../_base_/clip_zeroshot.py"]

variables = dict(train="data/train", test="data/test")
model = dict(templates=["photo"])
test_dataloader = dict(dataset=dict(type="ImageFolder", root="{test}"))
test_cfg = dict(type="DuplicateLoop", against=dict(type="ImageFolder", root="{train}"))
