"""LSeg on the hard split of the embedded world: whole shapes, not pairs of colour and shape, are unseen.

No training image shows an unseen shape in any colour. A tower that is trained from scratch can only go by what the
texts say of likeness; a frozen one knows the shapes from CLIP's images (lseg_tiny_shapes_shape_frozen.py).

Command:   clipkit train lseg/lseg_tiny_shapes_shape.py
Hardware:  2 CPU cores (with bf16 instructions; without, about twice the time)
Time:      6 to 7 minutes
Expected:  after half the schedule (train_cfg.max_iters=600 param_scheduler.1.end=600), seed 0, 2026-11-21: mIoU seen
           77.0, unseen 24.7, harmonic mean 37.4; the frozen tower 69.0, 30.1, 41.9
"""

_base_ = ["./lseg_tiny_shapes.py"]

model = dict(train_classes="shapes:shape")
train_dataloader = dict(dataset=dict(split="shape"))
val_dataloader = dict(dataset=dict(split="shape"))
test_dataloader = dict(dataset=dict(split="shape"))
