"""Linear probes on cells cut out of real photos (BCCD), with features of the shipped tiny CLIP, which has never seen a
photo: what a probe alone can do.

Command:   clipkit test clip/probe_bccd.py none --cfg-options variables.data=data/bccd
           real weights: model.clip=ViT-B-32-quickgelu model.pretrained=openai
Hardware:  CPU
Time:      not yet measured
Expected:  not yet measured
"""

_base_ = ["../_base_/clip_zeroshot.py", "../_base_/clip_bccd.py"]

model = dict(clip="tiny_shapes", pretrained=None)
test_dataloader = dict(dataset=_base_.bccd_test)
test_cfg = dict(_delete_=True, type="ProbeLoop", train=_base_.bccd_train)
