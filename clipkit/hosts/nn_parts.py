"""The parts of `clipkit.nn` by name, so that configs can say `dict(type='DPTDecoder', ...)`."""

from collections.abc import Sequence

from torch import Tensor, nn

from clipkit.engine.registry import MODELS
from clipkit.nn import ConvTower, DPTDecoder, FPNDecoder, TimmPyramid, TimmTower

for part in (ConvTower, DPTDecoder, FPNDecoder, TimmPyramid, TimmTower):
    MODELS.register_module(module=part)


@MODELS.register_module()
class DecoderNeck(nn.Module):
    """A decoder as the `neck` of mmseg's `EncoderDecoder`, whose heads expect a list of maps.

    Args:
        decoder: config of a module that turns maps (finest first) into one map.
    """

    def __init__(self, decoder: dict):
        super().__init__()
        self.decoder = MODELS.build(decoder)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor]:
        """list of (B, C_i, h_i, w_i) -> ((B, features, h, w),)."""
        return (self.decoder(list(maps)),)
