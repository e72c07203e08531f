"""LSeg with ViT-L/16, as in the paper, and how it is trained. For a config with a data set:

    _base_ = ["../_base_/lseg_vitl16.py", "../_base_/seg_ade20k.py"]
    model = dict(classes=_base_.classes, data_preprocessor=_base_.data_preprocessor)    # images in [-1, 1]
    train_cfg = …; param_scheduler = [dict(type="PolyLR", power=0.9, by_epoch=False, end=iterations)]

The tower is timm's, with ImageNet weights (a download; a checkpoint replaces them: model.tower.pretrained=False), names
are bare labels in CLIP ViT-B/32's text space. A block: model.block.kind=bottleneck or depthwise, model.block.depth=2.

The original's rate is 0.004 / 16 x the images of one GPU, however many GPUs there are. Its author's run (8 GPUs x 4
images, issue 31) so had 0.001 for 32 images: 0.0005 for 16. Here the rate follows all images of a step, on all GPUs and
with accumulation (`auto_scale_lr`), so that the same batch is trained the same on any number of GPUs.
"""

model = dict(
    type="LSeg",
    text=dict(clip=dict(name="ViT-B-32-quickgelu", pretrained="openai")),
    tower=dict(
        type="TimmTower", name="vit_large_patch16_384.augreg_in21k_ft_in1k", layers=(5, 11, 17, 23), pretrained=True
    ),
    decoder=dict(type="DPTDecoder", features=256, channels=(256, 512, 1024, 1024), factors=(4, 2, 1, 0.5)),
    block=None,
    learn_scale=False,
    align_corners=True,
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.0005, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(
        custom_keys={
            "tower": dict(lr_mult=1),
            "decoder.reassemble": dict(lr_mult=1),  # the original counts it to the tower
            "decoder": dict(lr_mult=10),
            "head": dict(lr_mult=10),  # and label_head
        }
    ),
)
auto_scale_lr = dict(enable=True, base_batch_size=16)
sync_bn = "torch"
