"""The precision in which the operators compute."""

import torch
from torch import Tensor


def wide(*tensors: Tensor) -> list[Tensor]:
    """Half-precision tensors as float32, others as they are: under autocast, mmcv hands its operators half precision,
    in which a coordinate beyond 256 (bf16) or 2,048 (fp16) has no fraction, and which CPU kernels lack. What a caller
    rounded before stays rounded: mmdet's SingleRoIExtractor casts RoIs to the features' type."""
    return [t.float() if t.dtype in (torch.float16, torch.bfloat16) else t for t in tensors]
