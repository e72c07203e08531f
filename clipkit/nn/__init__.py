"""Network parts that several plugins share, in plain PyTorch."""

from ._conv_tower import BasicBlock, ConvTower
from ._dpt import DPTDecoder, FusionBlock, Readout, Reassemble, ResidualConvUnit
from ._fpn import FPNDecoder
from ._points import draw_points
from ._regularisation import SpatialRegularisation
from ._timm_tower import TimmPyramid, TimmTower

__all__ = [
    "BasicBlock",
    "ConvTower",
    "DPTDecoder",
    "FPNDecoder",
    "FusionBlock",
    "Readout",
    "Reassemble",
    "ResidualConvUnit",
    "SpatialRegularisation",
    "TimmPyramid",
    "TimmTower",
    "draw_points",
]
