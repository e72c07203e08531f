"""The upper row of the embedded world: CLIP itself reads the crop of every proposal at test time, beside ViLD-text.

Nothing is trained: it takes the weights of vild_tiny_shapes_text.py.

Command:   clipkit test vild/vild_tiny_shapes_crops.py work_dirs/vild_tiny_shapes_text
           (the log gives the time an image; beside it, that of vild_tiny_shapes_text.py)
Hardware:  2 CPU cores
Time:      1.0 s a scene, so 9 minutes for 512 (one core of an AMD EPYC, shared, 2026-11-21)
Expected:  base AP50 92.5, novel 67.2 on the first 128 scenes (test_dataloader.dataset.length=128; seed 0, 2026-11-22)
"""

_base_ = ["./vild_tiny_shapes.py"]

model = dict(variant="crops", teacher=dict(crop_scales=(1.0, 1.5)))
