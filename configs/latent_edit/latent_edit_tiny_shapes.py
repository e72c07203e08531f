"""Another shape or colour for a scene's object, in the latents of the world's own renderer.

Command:   clipkit test latent_edit/latent_edit_tiny_shapes.py none
           --cfg-options variables.what=colour test_dataloader.dataset.seed=1
Options:   model.draws=1 model.restarts=1 (from where it is)
           model.keep=squares model.keep_weight=0.008 (StyleCLIP's)
           model.way=direction (one way for all pictures)
Hardware:  1 CPU core
Time:      50 s of CPU time (one core of an AMD EPYC, beside other work, 2026-11-30)
Expected:  shape right 87.5, kept 100 (seeds 0-2); what=colour 66.7, kept 100
"""

plugins = ["latent_edit"]
variables = dict(what="shape")

test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    collate_fn=dict(type="clipkit.collate_lists"),
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="SceneEdits", length=24, what="{what}", seed=0),
)
test_evaluator = dict(type="EditsRight")
test_cfg = dict(type="TestLoop")
model = dict(
    type="StyleEditor",
    clip="tiny_clip",
    way="optimise",
    jittered=["colour", "shape"],  # what these words can name
    draws=160,
    restarts=2,
    keep_weight=0.2,
)
