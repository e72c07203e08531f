"""Network parts that several plugins share, in plain PyTorch."""

from ._conv_tower import BasicBlock, ConvTower
from ._dpt import DPTDecoder, FusionBlock, Readout, Reassemble, ResidualConvUnit
from ._esresnext import ESResNeXt, FilterBank, TimeFrequencyGate
from ._fpn import FPNDecoder
from ._grouping import AssignAttention, GroupingBlock, TokenMixer
from ._points import draw_points
from ._regularisation import SpatialRegularisation
from ._sound_tower import SoundTower
from ._spectrogram import LogMel
from ._timm_tower import TimmPyramid, TimmTower
from ._transformer import CrossAttention, CrossBlock, Mlp, SelfAttention, TransformerBlock
from .bifuse import BiFuse
from .dyhead import DyConv, DyReLU
from .pointnet import PointNet
from .strokes import Strokes, render_strokes
from .svg import read_svg, write_svg
from .text_layer import TextLayer

__all__ = [
    "AssignAttention",
    "BasicBlock",
    "BiFuse",
    "ConvTower",
    "CrossAttention",
    "CrossBlock",
    "DPTDecoder",
    "DyConv",
    "DyReLU",
    "ESResNeXt",
    "FPNDecoder",
    "FilterBank",
    "FusionBlock",
    "GroupingBlock",
    "LogMel",
    "Mlp",
    "PointNet",
    "Readout",
    "Reassemble",
    "ResidualConvUnit",
    "SelfAttention",
    "SoundTower",
    "SpatialRegularisation",
    "Strokes",
    "TextLayer",
    "TimeFrequencyGate",
    "TimmPyramid",
    "TimmTower",
    "TokenMixer",
    "TransformerBlock",
    "draw_points",
    "read_svg",
    "render_strokes",
    "write_svg",
]
