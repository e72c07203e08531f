"""LSeg with ViT-B/32: the model of the original's ablations. See `lseg_vitl16.py`."""

_base_ = ["./lseg_vitl16.py"]

model = dict(
    tower=dict(name="vit_base_patch32_384.augreg_in21k_ft_in1k", layers=(2, 5, 8, 11)),
    decoder=dict(channels=(96, 192, 384, 768), factors=(8, 4, 2, 1)),
)
