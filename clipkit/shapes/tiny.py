"""The tiny CLIPs that ship with clipkit."""

from pathlib import Path

import torch

from clipkit.backbone import FrozenCLIP

FOLDER = Path(__file__).parent / "tiny_clip"
"""An ordinary open_clip folder: `open_clip_config.json` and float16 safetensors."""


def tiny_clip(dense: str = "maskclip", device: str | torch.device | None = None) -> FrozenCLIP:
    """The frozen tiny CLIP: 64 × 64 pixels, stride 8, embeddings of 128, pretrained on the captions of
    `clipkit.shapes` by `configs/clip/tiny_shapes.py` and then `tiny_shapes_closeups.py`. It knows that world and
    nothing else.

    Args:
        dense: variant of the dense map, see `FrozenCLIP.from_pretrained`.
    """
    return FrozenCLIP.from_pretrained("tiny_clip", dense=dense, device=device)


def distance_clip(dense: str = "maskclip", device: str | torch.device | None = None) -> FrozenCLIP:
    """The tiny CLIP after a third stage, `configs/clip/tiny_shapes_distances.py`: it also knows how far things are, by
    the words of `clipkit.shapes.DISTANCE_WORDS`.

    Args:
        dense: as of `tiny_clip`.
    """
    return FrozenCLIP.from_pretrained("distance_clip", dense=dense, device=device)
