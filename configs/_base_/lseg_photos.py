"""LSeg with ViT-L/16 on large sets of photos, windows in the test; see `lseg_vitl16.py`. For all of them:

on one GPU:          clipkit train, and train_dataloader.batch_size=… (the rate follows it; so should `iterations`)
as the paper tests:  clipkit test CONFIG WORK_DIR --cfg-options
                       "model.test_cfg.scales=(0.5,0.75,1,1.25,1.5,1.75)" model.test_cfg.flip=True
hardware:            the original's author had 8 V100 with 4 images each; memory was not measured here
"""

_base_ = ["./lseg_vitl16.py"]

model = dict(test_cfg=dict(mode="slide", window=480, stride=320, base_size=520))
custom_hooks = [dict(type="SegPictureHook", count=4, height=240)]
visualizer = dict(type="mmseg.SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
