"""Linear probes on your own images: one folder a class, a folder of such folders for training and one for testing.

Command:   clipkit test clip/probe_folder.py none --cfg-options variables.train=photos/train variables.test=photos/test
           another CLIP: model.clip.name=ViT-L-14-quickgelu
Hardware:  any
Time:      20 ms an image on 2 CPU cores (an estimate from 8.8 GFLOPs an image), once; then seconds to minutes
Expected:  depends on the images
"""

_base_ = ["../_base_/clip_zeroshot.py"]

variables = dict(train="data/train", test="data/test")
test_dataloader = dict(dataset=dict(type="ImageFolder", root="{test}"))
test_cfg = dict(_delete_=True, type="ProbeLoop", train=dict(type="ImageFolder", root="{train}"))
