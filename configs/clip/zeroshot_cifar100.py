"""Zero-shot classification of CIFAR-100's test set, with the 18 prompts that CLIP's authors chose for it.

Command:   clipkit test clip/zeroshot_cifar100.py none --cfg-options variables.data=data
           (test_dataloader.dataset.download=True fetches it)
Hardware:  CPU or GPU
Time:      not yet measured
Expected:  not yet measured here. open_clip's table has 64.2 top-1 for these weights
"""

_base_ = ["../_base_/clip_zeroshot.py"]

variables = dict(data="data")
kinds = ["", "blurry ", "black and white ", "low contrast ", "high contrast ", "bad ", "good "]
cifar_prompts = ["a " + kind + "photo of " + article + " {}." for article in ("a", "the") for kind in kinds]
cifar_prompts += ["a photo of " + article + size + " {}." for article in ("a", "the") for size in (" small", " big")]
model = dict(templates=["{}", "photo", cifar_prompts])
test_dataloader = dict(dataset=dict(type="TorchvisionImages", dataset="CIFAR100", root="{data}", train=False))
