"""Adapters: fusion, distillation and contrastive objectives as plain PyTorch objects."""

from .contrastive import ContrastiveLoss, LogitScale
from .multi_positive import MultiPositiveLoss
from .sigmoid import SigmoidLoss

__all__ = ["ContrastiveLoss", "LogitScale", "MultiPositiveLoss", "SigmoidLoss"]
