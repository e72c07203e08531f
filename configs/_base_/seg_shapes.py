"""The embedded world for segmentation, as `seg_shapes_data.py` says, with the preprocessing of a tower from scratch."""

_base_ = ["./seg_shapes_data.py"]

data_preprocessor = dict(
    type="mmseg.SegDataPreProcessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True, size=(64, 64), seg_pad_val=255
)
