"""LSeg's frozen variant in the embedded world: a DPT decoder on the frozen tiny CLIP's own maps; only it trains.

Command:   clipkit train lseg/lseg_tiny_shapes_frozen.py
Hardware:  2 CPU cores (with bf16 instructions; without, about twice the time)
Time:      9 minutes (2 cores of an AMD EPYC, shared with other work, 2026-11-21)
Expected:  mIoU seen 76.7, unseen 71.7, harmonic mean 74.1 (seed 0);
           table and picture in work_dirs/lseg_tiny_shapes_frozen
"""

_base_ = ["./lseg_tiny_shapes.py"]

model = dict(
    tower=dict(_delete_=True, type="FrozenTower", layers=(0, 1, -2, -1)),
    # CLIP's grid has a step of 8 pixels; reassembled to steps of 4, 8, 8 and 16, the output has a step of 2.
    decoder=dict(_delete_=True, type="DPTDecoder", channels=(96, 96, 144, 144), factors=(2, 1, 1, 0.5), features=64),
)
