"""LSeg with ResNet-101: the small model of the zero-shot tables. See `lseg_vitl16.py`; its stages are DPT's pyramid.

torchvision's weights, as the original's. It was trained on ImageNet's mean and std, so a config with this model says
data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]).
"""

_base_ = ["./lseg_vitl16.py"]

model = dict(
    tower=dict(_delete_=True, type="TimmPyramid", name="resnet101.tv_in1k", pretrained=True),
    decoder=dict(_delete_=True, type="DPTDecoder", features=256, factors=None),
)
