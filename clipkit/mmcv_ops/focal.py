"""Focal losses (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 5).

The logarithms are exact for confident predictions; mmcv's compiled ones end at log(1.2e-38) and, for a logit x > 17 of
a negative, jump there, because 1 - sigmoid(x) is 0 in float32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from clipkit.mmcv_ops._precision import wide

__all__ = [
    "sigmoid_focal_loss_backward",
    "sigmoid_focal_loss_forward",
    "softmax_focal_loss_backward",
    "softmax_focal_loss_forward",
]


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fills `output` (N, C) with the losses of every class.

    Args:
        input: logits (N, C).
        target: labels (N,), int64; any label outside 0..C-1 is background, a negative for every class.
        weight: factor of each label (C,), 1 for background; empty for none.
    """
    logits, weight = wide(input, weight)
    positive = -alpha * (-logits).sigmoid() ** gamma * F.logsigmoid(logits)
    negative = (alpha - 1) * logits.sigmoid() ** gamma * F.logsigmoid(-logits)
    losses = torch.where(_is_label(target, logits), positive, negative)
    output.copy_(losses * _factor(weight, target, logits)[:, None])


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Fills `grad_input` (N, C) with the derivative of each loss by its own logit."""
    logits, weight = wide(input, weight)
    p, q = logits.sigmoid(), (-logits).sigmoid()
    positive = alpha * q**gamma * (gamma * p * F.logsigmoid(logits) - q)
    negative = (1 - alpha) * p**gamma * (p - gamma * q * F.logsigmoid(-logits))
    slopes = torch.where(_is_label(target, logits), positive, negative)
    grad_input.copy_(slopes * _factor(weight, target, logits)[:, None])


def softmax_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fills `output` (N,) with the loss of each row, 0 where the label is none of the C classes.

    Args:
        input: softmax probabilities (N, C), not logits.
        target: labels (N,), int64.
        weight: factor of each label (C,); empty for none.
    """
    (weight,) = wide(weight)
    p, known = _probability(input, target)
    losses = -alpha * (1 - p) ** gamma * p.log()
    output.copy_((losses * _factor(weight, target, input)).masked_fill(~known, 0))


def softmax_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, buff: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Fills `grad_input` (N, C) with the derivatives by the logits; `buff` is working space, not used here."""
    softmax, weight = wide(input, weight)
    p, known = _probability(input, target)
    rest = (1 - p).clamp(min=torch.finfo(p.dtype).tiny)
    shared = alpha * rest**gamma * (gamma * p * p.log() / rest - 1)
    shared = (shared * _factor(weight, target, softmax)).masked_fill(~known, 0)
    grad_input.copy_(shared[:, None] * (_is_label(target, softmax).to(softmax) - softmax))


def _is_label(target: Tensor, logits: Tensor) -> Tensor:
    return target[:, None] == torch.arange(logits.shape[1], device=logits.device)


def _factor(weight: Tensor, target: Tensor, logits: Tensor) -> Tensor:
    """(N,): the weight of each row's label."""
    if not weight.numel():
        return torch.ones_like(target, dtype=weight.dtype)
    inside = (target >= 0) & (target < logits.shape[1])
    return torch.where(inside, weight[target.clamp(0, logits.shape[1] - 1)], 1)


def _probability(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Probability of each row's label, at least the smallest normal number, and whether there is such a class."""
    (softmax,) = wide(input)
    known = (target >= 0) & (target < softmax.shape[1])
    p = softmax.gather(1, target.clamp(0, softmax.shape[1] - 1)[:, None])[:, 0]
    return p.clamp(min=torch.finfo(p.dtype).tiny), known
