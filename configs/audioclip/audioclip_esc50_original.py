"""ESC-50 with AudioCLIP's own weights: zero-shot by `clipkit test`, fine-tuned as its released protocol has it (SGD
5e-5, x 0.96 an epoch, 44.1 kHz, the learned filter bank) by `clipkit train`.

Command:   clipkit convert audioclip AudioCLIP-Full-Training.pt audioclip_full.pth
           clipkit test audioclip/audioclip_esc50_original.py audioclip_full.pth --cfg-options variables.root=ESC-50
Options:   model.init_cfg.checkpoint=audioclip_full.pth      to train from there
Hardware:  1 GPU
Time:      not measured here
Expected:  not measured here (the paper: 69.40 zero-shot, 97.15 fine-tuned)
"""

_base_ = ["./audioclip_esc50.py"]

variables = dict(weights=None)
iterations = 1250

spectrogram = dict(rate=44100, window=2048, hop=561, bands=80)
sounds = dict(store=None, spectrogram=spectrogram)
train_dataloader = dict(dataset=sounds)
val_dataloader = dict(dataset=sounds)
test_dataloader = dict(dataset=sounds)
model = dict(
    tower=dict(_delete_=True, type="ESResNeXt"),
    spectrogram=spectrogram,
    own_clip=True,
    scale=100.0,
    mask_bands=0,
    init_cfg=dict(type="Pretrained", checkpoint="audioclip_full.pth"),
)
train_cfg = dict(max_iters=iterations, val_interval=25)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="SGD", lr=5e-5, momentum=0.9, nesterov=True, weight_decay=5e-4), clip_grad=None
)
param_scheduler = [dict(type="StepLR", by_epoch=False, step_size=25, gamma=0.96)]
