"""Few-shot adapters on your own images: one folder a class.

Command:   clipkit test clip/fewshot_folder.py none --cfg-options
               variables.train=photos/train variables.test=photos/test
           fewer methods: test_cfg.methods=[zero-shot,Tip-Adapter-F]
Hardware:  any; CoOp wants a GPU
Time:      depends on the images
Expected:  depends on the images
"""

_base_ = ["../_base_/clip_zeroshot.py"]

variables = dict(train="data/train", test="data/test")
model = dict(templates=["simple"])
test_dataloader = dict(dataset=dict(type="ImageFolder", root="{test}"))
test_cfg = dict(
    _delete_=True,
    type="FewShotLoop",
    train=dict(type="ImageFolder", root="{train}"),
    views=9,
)
