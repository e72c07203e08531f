"""CLIP-ViL's VQAv2 with a frozen ViT-B/16: trains on its training questions, tests on validation.

Command:   clipkit train vqa/vqa_v2.py --cfg-options variables.root=FOLDER
Hardware:  1 GPU
Time:      not measured here
Expected:  not measured here (the paper's CLIP-ViL_p, trained end to end after pretraining: 76.5 on test-dev)
"""

_base_ = ["../_base_/vqa.py"]

_train = dict(
    questions="{root}/v2_OpenEnded_mscoco_train2014_questions.json",
    annotations="{root}/v2_mscoco_train2014_annotations.json",
)
model = dict(vocabulary=_train)
train_dataloader = dict(dataset=dict(images="{root}/train2014", image_name="COCO_train2014_{:012d}.jpg", **_train))
_val = dict(
    questions="{root}/v2_OpenEnded_mscoco_val2014_questions.json",
    annotations="{root}/v2_mscoco_val2014_annotations.json",
    images="{root}/val2014",
    image_name="COCO_val2014_{:012d}.jpg",
)
val_dataloader = dict(dataset=_val)
test_dataloader = dict(dataset=_val)
