"""ViLD on your own images with a file in COCO's format: vild_coco_json.py with distillation.

The teacher first (may be killed and repeated); better proposals than --grid's come from a trained detector, by --rpn:
           clipkit precompute my/train --grid --clip ViT-B-32-quickgelu --pretrained openai --out my/teacher
Command:   clipkit train vild/vild_coco_json_distilled.py --cfg-options variables.teacher=my/teacher \\
               variables.train=my/train.json variables.train_images=my/train variables.val=my/val.json \\
               variables.val_images=my/val
Options:   see vild_coco_json.py; variables.variant=ensemble, image
Hardware:  see vild_coco_json.py
Time:      depends on your data
Expected:  depends on your data
"""

_base_ = ["./vild_coco_json.py"]

variables = dict(teacher="data/mine/teacher", variant="vild")
model = dict(variant="{variant}")
train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.load, dict(type="TeacherRegions", store="{teacher}", transforms=_base_.augment)])
)
