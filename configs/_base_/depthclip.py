"""DepthCLIP as the paper has it: RN50, seven words, their distances for rooms.

Options:   variables.clip / .weights    another CLIP: an open_clip name, and a tag or a local file
           model.space=dense            CLIP's own dense map, as of any tower, in place of the released code's channels
           model.words / .bins          other words, and their metres
           model.temperature=1          less nearly an argmax
"""

plugins = ["depthclip"]
variables = dict(clip="RN50-quickgelu", weights="openai")

model = dict(type="DepthCLIP", clip=dict(name="{clip}", pretrained="{weights}"), space="dense", size=(416, 544))
test_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="PhotoDepths"),
)
test_cfg = dict(type="TestLoop")
test_evaluator = dict(type="DepthErrors")
