"""The same wishes in pixels, in waves, or in a VQGAN's latents: what the CLIP in the loss says, and what is true.

Command:   clipkit test latent_edit/latent_edit_tiny_shapes_pictures.py none --cfg-options variables.way=pixels
           variables.way=vq model.generator=work_dirs/latent_edit/vqgan (see vqgan_tiny_shapes.py)
Options:   variables.what=colour; model.keep_weight=10
           test_evaluator.judge_file=FILE (of sketch/judge_tiny.py): what another network says
Hardware:  1 CPU core
Time:      67 s of CPU time for 20 edits of colour (one core of an AMD EPYC, beside other work, 2026-11-30)
Expected:  named 100, colour 25, outside 0.15 (fourier, variables.what=colour, 20 edits, seed 0)
"""

_base_ = ["./latent_edit_tiny_shapes.py"]
plugins = ["sketch", "latent_edit"]
variables = dict(way="fourier")

test_evaluator = dict(judge=dict(type="ShapeJudge"), judge_file=None)
model = dict(_delete_=True, type="PictureEditor", clip="tiny_clip", way="{way}", generator=None)
