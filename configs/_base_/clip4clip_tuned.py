"""CLIP4Clip with CLIP itself trained: frames are read anew in each pass. See `clip4clip.py`.

The original keeps CLIP in fp16 and takes a rate of 1e-7; in fp32 1e-5 does the same work (MMAction2's setting).

Options:   model.tune.unfreeze_from=9   only the upper blocks (CLIP4Clip's freeze_layer_num)
           "model.tune.cross_modal={'bottleneck': 8, 'shared': 16}" model.tune.unfreeze_from=None   adapters alone
           model.tune.inflate_patches=True   3D linear projection
"""

_base_ = ["./clip4clip.py"]

model = dict(
    tune=dict(
        unfreeze=None,
        unfreeze_from=0,
        adapters=None,
        cross_modal=None,
        inflate_patches=None,
        shift_tokens=None,
        join_frames=None,
    )
)
train_dataloader = dict(num_workers=8, dataset=dict(store=None))
val_dataloader = dict(num_workers=8, dataset=dict(store=None))
test_dataloader = val_dataloader
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"clip.": dict(lr_mult=0.1)}))
