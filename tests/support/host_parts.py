"""A CLIP of a few numbers and a picture, for models that take CLIP in."""

import open_clip
import torch

from clipkit.backbone import FrozenCLIP
from support.closed_form import closed_form_


def small_clip():
    vision = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
    text = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    return FrozenCLIP(closed_form_(open_clip.CLIP(**config)), model_cfg=config)


def picture(height, width, seed=0):
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
