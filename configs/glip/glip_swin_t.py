"""GLIP-T with the released weights: a photo and any names, or a sentence, without training.

Weights:   clipkit convert glip glip_tiny_model_o365_goldg_cc_sbu.pth glip_tiny.pth     (GLIP-T(B) and (C) too)
Command:   clipkit predict glip/glip_swin_t.py glip_tiny.pth photo.jpg --labels "a man, a red car"
           clipkit predict glip/glip_swin_t.py glip_tiny.pth photo.jpg --sentence "[a man] left of [the red car]"
           each with --cfg-options variables.bert=FOLDER (config.json and vocab.txt of bert-base-uncased)
Time:      not yet measured
Expected:  COCO AP without training: not yet measured here (the paper's: 46.3)
"""

_base_ = ["../_base_/glip_swin.py"]

model = dict(bbox_head=dict(fuse=dict(dim=2048, heads=8), text_layer=dict(heads=12, hidden=3072)))
