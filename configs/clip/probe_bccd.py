"""Linear probes on cells cut out of real photos (BCCD), with features of the shipped tiny CLIP, which has never seen a
photo: what a probe alone can do.

Command:   clipkit test clip/probe_bccd.py none --cfg-options variables.data=data/bccd
           real weights: "model.clip={'name': 'ViT-B-32-quickgelu', 'pretrained': 'openai'}"
Hardware:  CPU
Time:      38 s of CPU time (one core of an AMD EPYC, 2026-11-21)
Expected:  1,137 cells: logistic top-1 99.0, mean per class 96.0 before the projection, 98.9 and 95.6 after it; ridge
           98.7 and 94.5, 98.8 and 94.8 (2026-11-21)
"""

_base_ = ["../_base_/clip_zeroshot.py", "../_base_/clip_bccd.py"]

model = dict(clip="tiny_clip")
test_dataloader = dict(dataset=_base_.bccd_test)
test_cfg = dict(_delete_=True, type="ProbeLoop", train=_base_.bccd_train)
