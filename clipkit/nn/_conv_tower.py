"""A small convolutional image tower for small images and CPUs."""

from collections.abc import Sequence

from torch import Tensor, nn

from ._fpn import conv_bn_relu


class BasicBlock(nn.Module):
    """relu(x' + BN(conv3x3(relu(BN(conv3x3(x)))))) (He et al., CVPR 2016); x' is x or its 1x1 projection."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.conv1 = conv_bn_relu(in_channels, out_channels, stride=stride)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.project: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.project = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, in, h, w) -> (B, out, h/stride, w/stride)."""
        return self.relu(self.bn2(self.conv2(self.conv1(x))) + self.project(x))


class ConvTower(nn.Module):
    """Stem and residual stages; every stage after the first halves the size.

    Args:
        channels: width of each stage, finest first.
        blocks: residual blocks in each stage.
        stem_stride: stride of the first convolution: 1 keeps every pixel, 2 is four times cheaper.
        in_channels: channels of the image.

    Attributes:
        out_channels: list, channels of the maps.
        strides: list, pixels of the image a step in each map.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 128, 256),
        blocks: Sequence[int] = (1, 1, 1, 1),
        stem_stride: int = 2,
        in_channels: int = 3,
    ):
        super().__init__()
        if len(channels) != len(blocks):
            raise ValueError(f"channels has {len(channels)} stages and blocks {len(blocks)}; give one entry a stage")
        self.stem = conv_bn_relu(in_channels, channels[0], stride=stem_stride)
        stages, width = [], channels[0]
        for i, (channel, count) in enumerate(zip(channels, blocks)):
            layers = [BasicBlock(width if j == 0 else channel, channel, 2 if i and not j else 1) for j in range(count)]
            stages.append(nn.Sequential(*layers))
            width = channel
        self.stages = nn.ModuleList(stages)
        self.out_channels = list(channels)
        self.strides = [stem_stride * 2**i for i in range(len(channels))]

    def forward(self, x: Tensor) -> list[Tensor]:
        """`x` (B, in_channels, H, W) -> list of (B, C_i, H/stride_i, W/stride_i), finest first."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
