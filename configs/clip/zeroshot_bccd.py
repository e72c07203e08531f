"""Zero-shot classification of cells cut out of real photos: which command, table and picture a folder of photos gets.

Command:   clipkit test clip/zeroshot_bccd.py none --cfg-options variables.data=data/bccd
Hardware:  CPU or GPU
Time:      not yet measured
Expected:  not yet measured with OpenAI's weights
"""

_base_ = ["../_base_/clip_zeroshot.py", "../_base_/clip_bccd.py"]

test_dataloader = dict(dataset=_base_.bccd_test)
