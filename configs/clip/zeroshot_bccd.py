"""Zero-shot classification of cells cut out of real photos: which command, table and picture a folder of photos gets.

Command:   clipkit test clip/zeroshot_bccd.py none --cfg-options variables.data=data/bccd
Hardware:  CPU or GPU
Time:      3 s with the tiny CLIP (one core of an AMD EPYC, 2026-11-21)
Expected:  top-1 3.3 %, mean per class 14.9, with model.clip=tiny_clip, which never saw a cell;
           not yet measured with OpenAI's weights
"""

_base_ = ["../_base_/clip_zeroshot.py", "../_base_/clip_bccd.py"]

test_dataloader = dict(dataset=_base_.bccd_test)
