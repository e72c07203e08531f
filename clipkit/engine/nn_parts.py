"""The parts of `clipkit.nn` by name, so that configs can say `dict(type='DPTDecoder', ...)`."""

from clipkit.nn import ConvTower, DPTDecoder, FPNDecoder

from .registry import MODELS

for part in (ConvTower, DPTDecoder, FPNDecoder):
    MODELS.register_module(module=part)
