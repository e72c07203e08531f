"""SCLIP's pipeline for photos (arXiv:2312.01597, its released code), which NACLIP takes over: windows of 224 every 112,
80 prompts, cosines times 40. What uses it says the size: `variables = dict(resize=(2048, 336))`, short side 336.

With the paper's words (its class-name file, one line a class): add model.words.path=cls_{…}.txt
"model.words.separator=, "; without it the data set's own names are the words. NACLIP: model.text.dense=naclip.
"""

model = dict(
    type="DenseCLIP",
    text=dict(clip=dict(name="ViT-B-16-quickgelu", pretrained="openai"), templates="openai", dense="sclip"),
    logit_scale=40.0,
    test_cfg=dict(mode="slide", window=224, stride=112),
)
resized_pipeline = [
    dict(type="mmcv.LoadImageFromFile"),
    dict(type="mmcv.Resize", scale="{resize}", keep_ratio=True),
    dict(type="mmseg.LoadAnnotations"),  # after the resizing: the truth keeps its size
    dict(type="mmseg.PackSegInputs"),
]
