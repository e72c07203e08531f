"""Zero-shot classification of your own images: one folder a class, whose name is the class's.

Command:   clipkit test clip/zeroshot_folder.py none --cfg-options variables.images=photos
           names from a file, one a line in the folders' order: test_dataloader.dataset.names=names.txt
           another CLIP: model.clip.name=ViT-L-14-quickgelu
Hardware:  any
Time:      a download, and 20 ms an image on 2 CPU cores (an estimate from 8.8 GFLOPs an image)
Expected:  depends on the images
"""

_base_ = ["../_base_/clip_zeroshot.py"]

variables = dict(images="data/images")
test_dataloader = dict(dataset=dict(type="ImageFolder", root="{images}"))
