"""LSeg's spatial regularisation blocks (Li et al., ICLR 2022, arXiv:2201.03546, section 3.3): a little convolution on
the logits that treats every label alike, so that labels may be permuted, added and left out."""

import torch
from torch import Tensor, nn

KINDS = ("bottleneck", "depthwise")
ACTIVATIONS = {"relu": nn.ReLU, "lrelu": nn.LeakyReLU, "tanh": nn.Tanh}


class SpatialRegularisation(nn.Module):
    """`depth` applications of one block to the logits; the weights (10 numbers) are shared by labels and applications.

        depthwise:   x_k <- act(conv3x3(x_k))                     for every label k alone
        bottleneck:  x_k <- act(conv3x3(x_k) + max_j x_j)         the maximum is over all labels, before the convolution

    The last application has no activation. Permuting the labels permutes the result; `depthwise` also does not care
    which other labels there are.

    Args:
        kind: `bottleneck` or `depthwise`.
        depth: number of applications, at least 1. The paper finds 1 and 2 better than none, and 4 to collapse.
            (The original's `block_depth` 0, its default, applies a block once, as 1 does.)
        activation: `relu`, `lrelu` (slope 0.01) or `tanh`.

    Attributes:
        conv: the 3x3 convolution, 1 channel to 1, with bias.
        activation: the activation as a module.

    Raises:
        ValueError: for another kind or activation, or depth below 1.
    """

    def __init__(self, kind: str = "bottleneck", depth: int = 2, activation: str = "lrelu"):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"block '{kind}' is unknown; known: {', '.join(KINDS)}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation '{activation}' is unknown; known: {', '.join(ACTIVATIONS)}")
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}; without a block, give none")
        self.kind, self.depth = kind, depth
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.activation = ACTIVATIONS[activation]()

    def apply_once(self, x: Tensor, top: Tensor | None = None, last: bool = False) -> Tensor:
        """One application to some of the labels, for those who cannot hold all at once.

        Args:
            x: (B, K, h, w), any number of the labels.
            top: (B, 1, h, w), the maximum of x over *all* labels; only `bottleneck` reads it, and needs it.
            last: True leaves the activation out.

        Returns:
            (B, K, h, w).
        """
        with torch.autocast(x.device.type, enabled=False):  # logits of 14 in bf16 would be rounded to 0.06
            out = self.conv(x.reshape(-1, 1, *x.shape[-2:])).reshape(x.shape)
        if self.kind == "bottleneck":
            if top is None:
                raise ValueError("a bottleneck block needs the maximum over all labels: give top=")
            out = out + top
        return out if last else self.activation(out)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of all labels (B, K, h, w) -> (B, K, h, w)."""
        for i in range(self.depth):
            # amax shares the gradient among ties, max would give it to the first label.
            top = torch.amax(x, dim=1, keepdim=True) if self.kind == "bottleneck" else None
            x = self.apply_once(x, top, last=i == self.depth - 1)
        return x
