"""Depth of scenes of the embedded world by distance words, without depth labels: the shipped distance_clip.

Command:   clipkit test depthclip/depthclip_tiny_shapes.py none
           clipkit predict depthclip/depthclip_tiny_shapes.py none scene.png
           other scenes: --cfg-options variables.seed=1
Siblings:  depthclip_tiny_shapes_{bins,paper,size}.py
Hardware:  1 CPU core
Time:      about 20 s of CPU time
Expected:  spearman .70/.69/.69, AbsRel .236/.223/.248, delta1 .62/.63/.60 (seeds 0/1/2, 2026-11-30)
"""

plugins = ["depthclip"]
variables = dict(scenes=100, seed=0)

model = dict(
    type="DepthCLIP",
    clip="distance_clip",
    stride=4,
    pool=2,
    temperature=2.0,
    words=["very close", "close", "quite close", "at middle distance", "quite far", "far", "very far"],
)
test_dataloader = dict(
    batch_size=16,
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="SceneDepths", length="{scenes}", seed="{seed}"),
)
test_cfg = dict(type="TestLoop")
test_evaluator = dict(type="DepthErrors")
