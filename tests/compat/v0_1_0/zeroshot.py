"""A user's config of clipkit 0.1.0 (commit 02f8ef5): labels of one's own photos, whose features are kept."""

default_scope = "clipkit"
plugins = ["clip"]

model = dict(type="clipkit.ClipClassifier", clip="tiny_shapes", pretrained=None, templates=["{}"], precision="fp32")
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="clipkit.ImageFolder", root="images"),
)
test_cfg = dict(type="clipkit.ZeroShotLoop", store="features")
test_evaluator = []
