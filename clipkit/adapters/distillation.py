"""Losses between a student's embeddings and a teacher's.

Each takes `student` and `teacher` of one shape, `(N, D)` or maps `(B, D, h, w)` whose places are rows, and optionally
`valid`, `(N,)` or `(B, h, w)` bool. Means are over valid rows; without any the loss is 0 and still has a gradient.
The teacher is detached.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class L1DistillLoss(nn.Module):
    """`L = w * D * mean_{i,d} |s_id - t_id|`: the mean over rows of the L1 norm.

    ViLD's scale (Gu et al. 2022, eq. 3 and the released code; w = 0.5 for ResNet-50). `F.l1_loss` is D times smaller.

    Examples:
        >>> L1DistillLoss()(torch.randn(8, 16), torch.randn(8, 16)).shape
        torch.Size([])
    """

    def __init__(self, weight: float = 1.0, normalize: bool = True) -> None:
        super().__init__()
        self.weight = weight
        self.normalize = normalize

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """Both `(N, D)` or both `(B, D, h, w)`, with `valid` `(N,)` or `(B, h, w)` -> the loss, 0-d."""
        s, t = _rows(student, teacher, valid, self.normalize)
        return self.weight * (s - t).abs().sum() / max(len(s), 1)


class CosineDistillLoss(nn.Module):
    """`L = w * mean_i (1 - cos(s_i, t_i))`, CLIPSelf (Wu et al. 2024, eq. 1).

    Examples:
        >>> rows = torch.randn(8, 16)
        >>> CosineDistillLoss()(rows, 3 * rows).abs().item() < 1e-6
        True
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """Both `(N, D)` or both `(B, D, h, w)`, with `valid` `(N,)` or `(B, h, w)` -> the loss, 0-d."""
        s, t = _rows(student, teacher, valid, normalize=True)
        return self.weight * (1 - (s * t).sum(-1)).sum() / max(len(s), 1)


class SimilarityKLLoss(nn.Module):
    """`L = w * mean_i KL(softmax_k(t_i.a_k / tau_t) || softmax_k(s_i.a_k / tau))` over anchors `a`,

    which are class or concept embeddings (RegionCLIP, Zhong et al. 2022, eq. 3; tau = 0.01). Without anchors the
    teacher's own rows are the anchors, in-batch, as in relation distillation of CLIP by CLIP.

    Examples:
        >>> student, teacher, concepts = torch.randn(8, 16), torch.randn(8, 16), torch.randn(5, 16)
        >>> SimilarityKLLoss(temperature=0.1)(student, teacher, anchors=concepts).shape
        torch.Size([])
    """

    def __init__(
        self, weight: float = 1.0, temperature: float = 0.01, teacher_temperature: float | None = None
    ) -> None:
        super().__init__()
        if temperature <= 0 or (teacher_temperature is not None and teacher_temperature <= 0):
            raise ValueError(f"temperatures must be positive, got {temperature} and {teacher_temperature}")
        self.weight = weight
        self.temperature = temperature
        self.teacher_temperature = temperature if teacher_temperature is None else teacher_temperature

    def forward(
        self, student: Tensor, teacher: Tensor, valid: Tensor | None = None, anchors: Tensor | None = None
    ) -> Tensor:
        """Both `(N, D)` or both `(B, D, h, w)`, `valid` `(N,)` or `(B, h, w)`, `anchors` `(K, D)` -> the loss, 0-d."""
        s, t = _rows(student, teacher, valid, normalize=True)
        if len(s) == 0:
            return s.sum() * 0.0
        a = t if anchors is None else F.normalize(anchors.detach().to(t), dim=-1)
        with torch.autocast(s.device.type, enabled=False):  # it would round the products to half precision
            log_student = (s @ a.T / self.temperature).log_softmax(-1)
            log_teacher = (t @ a.T / self.teacher_temperature).log_softmax(-1)
        return self.weight * F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)


class RelationalDistillLoss(nn.Module):
    """`L = w / N^2 * sum_ij (cos(s_i, s_j) - cos(t_i, t_j))^2`: match the matrices of similarities.

    The student's dimension is free, for the two spaces are never compared (Tung & Mori 2019, eq. 4, with rows of
    unit length).

    Examples:
        >>> RelationalDistillLoss()(torch.randn(8, 16), torch.randn(8, 32)).shape  # widths may differ
        torch.Size([])
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """`(N, D)` and `(N, E)`, or maps `(B, D, h, w)` and `(B, E, h, w)`; `valid` as elsewhere -> the loss, 0-d."""
        s, t = _rows(student, teacher, valid, normalize=True, same_width=False)
        with torch.autocast(s.device.type, enabled=False):  # it would round the products to half precision
            return self.weight * (s @ s.T - t @ t.T).square().sum() / max(len(s), 1) ** 2


def _rows(
    student: Tensor, teacher: Tensor, valid: Tensor | None, normalize: bool, same_width: bool = True
) -> tuple[Tensor, Tensor]:
    """Valid rows `(n, D)` of both, at least float32."""
    places = (student.shape[0], *student.shape[2:])
    if places != (teacher.shape[0], *teacher.shape[2:]) or (same_width and student.shape[1] != teacher.shape[1]):
        raise ValueError(f"student {tuple(student.shape)} and teacher {tuple(teacher.shape)} do not match")
    dtype = torch.float64 if student.dtype == torch.float64 else torch.float32
    s, t = (x.to(dtype).movedim(1, -1).flatten(0, -2) for x in (student, teacher.detach()))
    if valid is not None:
        if valid.shape != places:
            raise ValueError(f"valid {tuple(valid.shape)} does not fit student {tuple(student.shape)}")
        keep = valid.flatten().bool()
        s, t = s[keep], t[keep]
    if normalize:
        s, t = F.normalize(s, dim=-1), F.normalize(t, dim=-1)
    return s, t
