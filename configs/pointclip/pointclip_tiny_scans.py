"""Harder clouds of the embedded world: 256 points of what a scanner in front sees, shapes turned anywhere, a tenth
of the points on a wall behind.

Command:   clipkit train pointclip/pointclip_tiny_scans.py --cfg-options variables.shots=4
Hardware:  1 CPU core
Time:      28 s of CPU time with the views (AMD EPYC, shared, 2026-11-30)
Expected:  with variables.shots=4 top-1 73.3, adapter 65.0, network 62.5, weighted 35.8, front 28.3 (seed 0)
"""

_base_ = ["pointclip_tiny_shapes.py"]

scans = dict(points=256, yaw=3.1416, one_sided=True, clutter=0.1)
train_dataloader = dict(dataset=dict(clouds=scans))
val_dataloader = dict(dataset=dict(clouds=scans))
test_dataloader = val_dataloader
