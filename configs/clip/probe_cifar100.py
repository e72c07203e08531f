"""Linear probes on CIFAR-100, OpenAI's ViT-B/32.

Command:   clipkit test clip/probe_cifar100.py none --cfg-options variables.data=data
Hardware:  one GPU, or a CPU and patience
Time:      not yet measured
Expected:  not yet measured here
"""

_base_ = ["zeroshot_cifar100.py"]

test_cfg = dict(
    _delete_=True,
    type="ProbeLoop",
    train=dict(type="TorchvisionImages", dataset="CIFAR100", root="{data}", train=True),
)
