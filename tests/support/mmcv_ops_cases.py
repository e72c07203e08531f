"""Calls of mmcv's operators on inputs from a closed formula. Their results on the compiled CPU operators are kept in
`mmcv_cpu_ops.json`; without clipkit this file needs only torch and mmcv."""

import torch
from mmcv.ops import deform_conv2d, modulated_deform_conv2d, nms, nms_match, roi_align, soft_nms

from support.mmcv_ops_oracles import some_boxes, wave


def suppression(kind, threshold, **options):
    """A table of boxes and scores, and indices."""

    def run():
        boxes, scores = (tensor.float() for tensor in some_boxes(60))
        if kind == "match":
            groups = nms_match(torch.cat([boxes, scores[:, None]], 1), threshold)
            return [torch.tensor([len(group) for group in groups]), torch.cat(groups)]
        return list({"nms": nms, "soft": soft_nms}[kind](boxes, scores, threshold, **options))

    return run


def region(aligned, sampling_ratio):
    """Values and the gradient by the map."""

    def run():
        features = wave(2, 2, 9, 11).float().requires_grad_()
        rois = torch.tensor([[0, 3, 5, 30, 21], [1, -9, -7, 12, 50], [0, 60, 60, 80, 90], [1, 20, 20, 21, 21.5]])
        output = roi_align(features, rois, (3, 2), 0.25, sampling_ratio, "avg", aligned)
        output.backward(wave(*output.shape, shift=0.5).float())
        return [output.detach(), features.grad]

    return run


def convolution(modulated, stride, padding, dilation, groups, deform_groups):
    """Values and the gradients by input, offset, weight and, where they exist, mask and bias."""

    def run():
        tall, wide = ((size + 2 * padding[i] - 2 * dilation[i] - 1) // stride[i] + 1 for i, size in enumerate((5, 6)))
        places = 9 * deform_groups
        tensors = [
            wave(2, 4, 5, 6),
            # Odd eighths: no sample falls on the centre of a pixel, where the gradient jumps.
            (wave(2, 2 * places, tall, wide, scale=7, speed=2.2).floor() + 0.5) / 4,
            wave(4, 4 // groups, 3, 3, speed=0.8),
        ]
        if modulated:
            tensors += [0.5 + 0.4 * wave(2, places, tall, wide, speed=1.9), wave(4, shift=0.2)]
        tensors = [tensor.float().requires_grad_() for tensor in tensors]
        shape = (stride, padding, dilation, groups, deform_groups)
        x, offset, weight, *rest = tensors
        if modulated:
            output = modulated_deform_conv2d(x, offset, rest[0], weight, rest[1], *shape)
        else:
            output = deform_conv2d(x, offset, weight, *shape)
        output.backward(wave(*output.shape, shift=0.7).float())
        return [output.detach(), *(tensor.grad for tensor in tensors)]

    return run


CASES = {
    **{f"nms {t} {o}": suppression("nms", t, offset=o) for t in (0.1, 0.3, 0.7) for o in (0, 1)},
    **{
        f"soft nms {method} {o}": suppression("soft", 0.3, sigma=0.5, min_score=0.05, method=method, offset=o)
        for method in ("naive", "linear", "gaussian")
        for o in (0, 1)
    },
    **{f"nms match {t}": suppression("match", t) for t in (0.2, 0.5)},
    **{f"roi align {a} {s}": region(a, s) for a in (True, False) for s in (0, 2)},
    **{
        f"{'modulated ' if modulated else ''}deform conv {name}": convolution(modulated, *shape)
        for modulated in (False, True)
        for name, shape in {
            "plain": ((1, 1), (1, 1), (1, 1), 1, 1),
            "uneven": ((2, 1), (0, 2), (1, 2), 1, 1),
            "grouped": ((2, 2), (2, 1), (2, 1), 2, 4),
        }.items()
    },
}
