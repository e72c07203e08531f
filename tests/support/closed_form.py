"""Weights by a formula, for comparisons with another implementation."""

import math

import torch


def closed_form_(module: torch.nn.Module, scale: float = 0.05) -> torch.nn.Module:
    """Fills every parameter with scale * sin(its flat index), so that two implementations get the same weights
    without sharing a random generator. Norm weights get 1 + that. Returns the module."""
    with torch.no_grad():
        offset = 0
        for name, parameter in sorted(module.named_parameters()):
            index = torch.arange(offset, offset + parameter.numel(), dtype=torch.float64)
            values = scale * torch.sin(index * math.sqrt(2.0)).reshape(parameter.shape)
            is_gain = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_((values + 1.0 if is_gain else values).to(parameter.dtype))
            offset += parameter.numel()
    return module
