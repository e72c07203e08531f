"""Network parts that several plugins share, in plain PyTorch."""

from ._conv_tower import BasicBlock, ConvTower
from ._dpt import DPTDecoder, FusionBlock, Readout, Reassemble, ResidualConvUnit
from ._fpn import FPNDecoder
from ._points import draw_points
from ._regularisation import SpatialRegularisation
from ._timm_tower import TimmPyramid, TimmTower
from .bifuse import BiFuse
from .dyhead import DyConv, DyReLU
from .text_layer import TextLayer

__all__ = [
    "BasicBlock",
    "BiFuse",
    "ConvTower",
    "DPTDecoder",
    "DyConv",
    "DyReLU",
    "FPNDecoder",
    "FusionBlock",
    "Readout",
    "Reassemble",
    "ResidualConvUnit",
    "SpatialRegularisation",
    "TextLayer",
    "TimmPyramid",
    "TimmTower",
    "draw_points",
]
