"""Relations in the embedded world: "a circle left of a star", where another circle is not; shallow. Deep beside it.

Command:   clipkit train glip/glip_tiny_relations.py      (deep: --cfg-options model.bbox_head.deep=True)
Hardware:  1 CPU core
Time:      3 CPU minutes, both evaluations included (2026-11-30, 14 minutes beside other work)
Expected:  shallow 46.9, twin 45.5 (seed 10): no relation is learned; naming the shape alone gives 50, and `twin`
           then has the other half. With objects as tokens in place of pixels: benchmarks/glip_relations.py, 99.8
"""

_base_ = ["./glip_tiny_shapes.py"]

iterations = 600

train_dataloader = dict(
    dataset=dict(
        subset="all",
        ask="relations",
        pipeline=[
            # Half of the prompts are lists of names, from which shapes are learned; the others ask for relations.
            dict(
                type="GroundingPrompt", classes=_base_.classes, names=(24, 48), hard=0.5, empty=0.25, captions=0.5,
            ),
            dict(type="mmdet.PackDetInputs", meta_keys=("img_id", "img_shape", "prompt", "object_phrases")),
        ],
    )
)  # fmt: skip
val_dataloader = dict(
    dataset=dict(
        length=1024,
        ask="relations",
        pipeline=[
            dict(
                type="mmdet.PackDetInputs",
                meta_keys=(
                    "img_id",
                    "ori_shape",
                    "img_shape",
                    "scale_factor",
                    "prompts",
                    "phrase_truth",
                    "phrase_twins",
                ),
            ),
        ],
    )
)
test_dataloader = val_dataloader
val_evaluator = [dict(type="PhraseRecall")]
test_evaluator = val_evaluator
model = dict(classes=None)
train_cfg = dict(max_iters=iterations, val_interval=iterations)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=iterations, eta_min=0),
]
