"""The paper's model: ViT-S/16, 64 then 8 groups, its own text tower; and the original's test: short side 448, windows
of 448 every 224, one prompt, the five classes that fit the window best.

A converted checkpoint: `clipkit convert groupvit group_vit_gcc_yfcc.pth groupvit.pth`.
"""

model = dict(
    type="GroupViT",
    data_preprocessor=dict(
        type="mmseg.SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(224, 224),  # in training; tests take pictures as they are
        seg_pad_val=255,
    ),
    text=dict(width=256, layers=12, heads=4, context=77, hidden=4096, dim=256, templates="photo"),
    tokens=dict(type="PatchTokens", dim=384, patch=16, size=224),
    encoder=dict(dim=384, heads=6, depths=(6, 3, 3), tokens=(64, 8, 0), groups=(64, 8, 0), drop_path=0.1),
    hidden=4096,
    losses=dict(caption=1.0, phrases=1.0),
    equal_phrases=False,
    top_classes=5,
    test_cfg=dict(mode="slide", window=448, stride=224),
)
resized_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmcv.Resize", scale=(2048, 448), keep_ratio=True),
    dict(type="mmseg.LoadAnnotations"),  # after the resizing: the truth keeps its size
    dict(type="mmseg.PackSegInputs"),
]
