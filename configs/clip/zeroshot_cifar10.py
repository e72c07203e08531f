"""Zero-shot classification of CIFAR-10's test set, with the 18 prompts that CLIP's authors chose for it.

Command:   clipkit test clip/zeroshot_cifar10.py none --cfg-options variables.data=data
           (test_dataloader.dataset.download=True fetches it)
Hardware:  CPU or GPU
Time:      not yet measured
Expected:  not yet measured here. open_clip's table has 89.8 top-1 for these weights
"""

_base_ = ["zeroshot_cifar100.py"]

test_dataloader = dict(dataset=dict(dataset="CIFAR10"))
