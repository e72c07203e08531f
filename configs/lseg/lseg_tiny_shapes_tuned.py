"""LSeg whose text tower learns too, with 3 % of the image side's rate: what claim C14 compares the frozen one with.

Command:   clipkit train lseg/lseg_tiny_shapes_tuned.py
Hardware:  2 CPU cores
Time:      not measured at the whole schedule; the claim has half of it on 512 scenes
Expected:  see docs/claims.md, C14
"""

_base_ = ["./lseg_tiny_shapes.py"]

model = dict(type="TunedTextLSeg")
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"text.clip": dict(lr_mult=0.03)}))
