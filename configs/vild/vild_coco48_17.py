"""ViLD on COCO's 48 base and 17 novel classes (Bansal et al., ECCV 2018), all 65 competing at test time.

Layout: as vild_coco48_17_text.py, which trains first.
The teacher then (may be killed and repeated):
           clipkit precompute data/coco/train2017 --annotations data/coco/annotations/instances_train2017.json \\
               --rpn vild/vild_coco48_17_text.py work_dirs/vild_coco48_17_text \\
               --clip ViT-B-32-quickgelu --pretrained openai --out data/coco/teacher
Command:   torchrun --nproc_per_node=8 tools/train.py vild/vild_coco48_17.py
Hardware:  64 images a step, for instance 8 GPUs with 8
Time:      not yet measured
Expected:  AP50 novel, base, all: not yet measured here (the paper's: 27.6, 59.5, 51.3)
"""

_base_ = ["./vild_coco48_17_text.py"]

variables = dict(teacher="data/coco/teacher")
model = dict(variant="vild")
train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.load, dict(type="TeacherRegions", store="{teacher}", transforms=_base_.augment)])
)
