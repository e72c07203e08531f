"""LSeg whose text tower learns too, with 3 % of the image side's rate: what claim C14 compares the frozen one with.

Command:   clipkit train lseg/lseg_tiny_shapes_tuned.py
Hardware:  2 CPU cores
Time:      not measured at the whole schedule; the claim has half of it on 512 scenes
Expected:  the claim: seen 68.9, unseen 64.1, the frozen one 68.8, 63.5 (means of 3 seeds, 2026-11-21)
"""

_base_ = ["./lseg_tiny_shapes.py"]

model = dict(type="TunedTextLSeg")
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"text.clip": dict(lr_mult=0.03)}))
