"""Zero-shot classification by the bare name, 1, 7 and 80 prompts. What uses it names a data set; without changes the
CLIP is OpenAI's ViT-B/32, which is downloaded once."""

default_scope = "clipkit"
plugins = ["clip"]

model = dict(
    type="ClipClassifier",
    clip=dict(name="ViT-B-32-quickgelu", pretrained="openai"),
    templates=["{}", "photo", "simple", "openai"],
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,  # threads that read and resize
    sampler=dict(type="DefaultSampler", shuffle=False),
)
test_cfg = dict(type="ZeroShotLoop")
test_evaluator = []
