"""The frozen CLIP as LSeg's image tower."""

from collections.abc import Sequence

from torch import Tensor, nn

from clipkit.adapters import to_whole_patches


class FrozenTower(nn.Module):
    """Maps of the frozen CLIP's own blocks, for the same decoder that a trainable tower gets.

    The tower holds no reference to the CLIP (LSeg does, once, for text and image): it is called with it.

    Args:
        layers: 0-based blocks or stages, negatives allowed; finest first for a convolutional CLIP.
        scale: the image is enlarged by this before CLIP sees it. A ViT's grid is coarse beside the images of the
            embedded world; twice the size gives four times the positions at four times the cost.
    """

    def __init__(self, layers: Sequence[int] = (0, 1, -2, -1), scale: float = 1.0):
        super().__init__()
        self.layers = tuple(layers)
        self.scale = scale

    def forward(self, images: Tensor, clip: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
        """`images` (B, 3, H, W) RGB in [0, 1] -> maps, list of (B, C, h, w), and class tokens, list of (B, C)."""
        if self.scale != 1.0:
            images = nn.functional.interpolate(images, scale_factor=self.scale, mode="bilinear", align_corners=False)
        images = to_whole_patches(images, clip.patch_size)
        features = clip.features(images, layers=self.layers, dense=False)
        return list(features.maps), list(features.cls or [])
