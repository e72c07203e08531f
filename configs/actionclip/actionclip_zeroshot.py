"""Zero-shot: a model of Kinetics-400 on HMDB51 or UCF101, whose actions it never trained on. All names compete.

Command:   clipkit test actionclip/actionclip_zeroshot.py work_dirs/actionclip_k400
Options:   variables.data=ucf101 variables.root=data/ucf101
           clipkit convert actionclip vit-b-32-8f.pt k400.pth   the original's weights as the checkpoint
Hardware:  one GPU, or a patient CPU
Time:      not yet measured
Expected:  not yet measured; the original: HMDB51 40.8, UCF101 58.3
"""

_base_ = ["./actionclip_k400.py"]

variables = dict(data="hmdb51", root="data/hmdb51", train="train1", test="test1")
