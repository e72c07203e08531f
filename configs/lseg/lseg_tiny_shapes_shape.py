"""LSeg on the hard split of the embedded world: whole shapes, not pairs of colour and shape, are unseen.

No training image shows an unseen shape in any colour. A tower that is trained from scratch can only go by what the
texts say of likeness; a frozen one knows the shapes from CLIP's images (lseg_tiny_shapes_shape_frozen.py).

Command:   clipkit train lseg/lseg_tiny_shapes_shape.py
Hardware:  2 CPU cores (with bf16 instructions; without, about twice the time)
Time:      13 minutes on one core (AMD EPYC, shared, 2026-11-21)
Expected:  mIoU seen 77.3, unseen 23.3, harmonic mean 35.8 (seed 0, 2026-11-21; after half the schedule 77.0, 24.7: what
           is unseen is learned early)
"""

_base_ = ["./lseg_tiny_shapes.py"]

model = dict(train_classes="shapes:shape")
train_dataloader = dict(dataset=dict(split="shape"))
val_dataloader = dict(dataset=dict(split="shape"))
test_dataloader = dict(dataset=dict(split="shape"))
