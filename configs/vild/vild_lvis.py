"""ViLD on LVIS v1 base classes, the release's schedule: 180,000 steps of 256 images.

The teacher first (may be killed and repeated), on proposals of a detector that was trained on the base classes:
           clipkit precompute data/coco --annotations data/lvis_v1/annotations/lvis_v1_train.json \\
               --rpn vild/vild_lvis_text.py work_dirs/vild_lvis_text --clip ViT-B-32-quickgelu --pretrained openai \\
               --out data/lvis_v1/teacher
Command:   torchrun --nproc_per_node=8 tools/train.py vild/vild_lvis.py            (data: see _base_/det_lvis.py)
           ViLD-ensemble: --cfg-options model.variant=ensemble; ResNet-152 there has model.distill_weight=1.0, and 2.0
Hardware:  256 images a step, for instance 8 GPUs with 32
Time:      not yet measured
Expected:  mask APr, APc, APf: not yet measured here (released: ViLD 16.6, 19.8, 28.2; ViLD-ensemble 18.0, 24.7, 30.6)
"""

_base_ = ["./vild_lvis_text.py"]

model = dict(variant="vild", distill_weight=0.5)
train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.load, dict(type="TeacherRegions", store="{teacher}", transforms=_base_.augment)])
)
