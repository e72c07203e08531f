"""Linear probes on CIFAR-10, OpenAI's ViT-B/32.

Command:   clipkit test clip/probe_cifar10.py none --cfg-options variables.data=data
Hardware:  one GPU, or a CPU and patience
Time:      not yet measured
Expected:  not yet measured here
"""

_base_ = ["zeroshot_cifar10.py"]

test_cfg = dict(
    _delete_=True,
    type="ProbeLoop",
    train=dict(type="TorchvisionImages", dataset="CIFAR10", root="{data}", train=True),
)
