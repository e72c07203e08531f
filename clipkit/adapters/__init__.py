"""Adapters: fusion, distillation and contrastive objectives as plain PyTorch objects."""

from .contrastive import ContrastiveLoss, LogitScale

__all__ = ["ContrastiveLoss", "LogitScale"]
