"""Questions about one's own photos, JSON lines: `{"image": "a.jpg", "question": "what is it?", "answer": "a cat"}`.

Command:   clipkit train vqa/vqa_folder.py --cfg-options variables.train=train.jsonl variables.test=test.jsonl
Options:   variables.images=FOLDER      of the photos (default: photos)
           variables.at_least=1         questions that must have an answer before it is learned
           model.head=entailment        answers are contradiction, neutral, entailment; questions are hypotheses
Hardware:  1 GPU, or a CPU for some hundred photos
Time:      not measured here
Expected:  not measured here
"""

_base_ = ["../_base_/vqa.py"]

variables = dict(
    train="train.jsonl",
    test="test.jsonl",
    images="photos",
    store="work_dirs/vqa_folder/grids",
    vocabulary="work_dirs/vqa_folder/vocabulary.json",
    at_least=3,
)
iterations = 3000

train_dataloader = dict(batch_size=16, dataset=dict(questions="{train}", images="{images}"))
val_dataloader = dict(dataset=dict(questions="{test}", images="{images}"))
test_dataloader = dict(dataset=dict(questions="{test}", images="{images}"))
val_evaluator = dict(answers="work_dirs/vqa_folder/answers.json")
test_evaluator = dict(answers="work_dirs/vqa_folder/answers.json")
model = dict(vocabulary=dict(questions="{train}", at_least="{at_least}"), dim=256, heads=4, depth=2)
train_cfg = dict(max_iters=iterations, val_interval=1000)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=200, end=iterations, eta_min=0),
]
