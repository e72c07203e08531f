"""LSeg on the hard split of the embedded world: whole shapes, not pairs of colour and shape, are unseen.

No training image shows an unseen shape in any colour, so a tower that is trained from scratch has nothing to go by;
only CLIP's images know them (lseg_tiny_shapes_shape_frozen.py).

Command:   clipkit train lseg/lseg_tiny_shapes_shape.py
Hardware:  2 CPU cores (with bf16 instructions; without, about twice the time)
Time:      6 to 7 minutes
Expected:  not yet measured
"""

_base_ = ["./lseg_tiny_shapes.py"]

model = dict(train_classes="shapes:shape")
train_dataloader = dict(dataset=dict(split="shape"))
val_dataloader = dict(dataset=dict(split="shape"))
test_dataloader = dict(dataset=dict(split="shape"))
