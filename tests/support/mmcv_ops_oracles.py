"""The operators of `clipkit.mmcv_ops` once more, as plain float64 loops of what mmcv's documents and the papers
define. Gradients are autograd's through these loops. Inputs are small and from a closed formula."""

import math

import torch


def wave(*shape, scale=1.0, shift=0.0, speed=1.4142):
    """scale * sin(speed * index + shift), float64: the same numbers on every machine and in every version of torch."""
    index = torch.arange(math.prod(shape), dtype=torch.float64)
    return (scale * torch.sin(speed * index + shift)).reshape(shape)


def some_boxes(count, size=40.0):
    """(count, 4) boxes of many sizes inside a square, many of them overlapping, and distinct scores (count,)."""
    centre = size * (0.5 + 0.1 * wave(count, 2, speed=1.7))
    half = size * (0.16 + 0.09 * wave(count, 2, speed=2.3, shift=1.0))
    scores = 0.5 + 0.45 * wave(count, speed=0.9, shift=0.3)
    return torch.cat([centre - half, centre + half], 1), scores


# -- suppression ------------------------------------------------------------------------------------------------------
def iou(a, b, offset=0):
    (ax, ay, au, av), (bx, by, bu, bv) = a, b
    shared = max(0.0, min(au, bu) - max(ax, bx) + offset) * max(0.0, min(av, bv) - max(ay, by) + offset)
    area = (au - ax + offset) * (av - ay + offset) + (bu - bx + offset) * (bv - by + offset)
    return shared / (area - shared) if area != shared else 0.0


def nms(boxes, scores, threshold, offset=0):
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if all(iou(boxes[i], boxes[j], offset) <= threshold for j in kept):
            kept.append(i)
    return kept


def corners(box):
    """Of a rotated box, its angle clockwise where y points down."""
    x, y, w, h, angle = box
    cos, sin = math.cos(angle), math.sin(angle)
    return [
        (x + u * w / 2 * cos - v * h / 2 * sin, y + u * w / 2 * sin + v * h / 2 * cos)
        for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]


def polygon_area(points):
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, points[1:] + points[:1]))) / 2


def rotated_overlap(a, b, mode="iou"):
    """The first box, cut along each side of the second (Sutherland and Hodgman, 1974)."""
    if a[2] * a[3] <= 0 or b[2] * b[3] <= 0:
        return 0.0
    left, knife = corners(a), corners(b)
    for start, end in zip(knife, knife[1:] + knife[:1]):

        def side(p, start=start, end=end):
            return (end[0] - start[0]) * (p[1] - start[1]) - (end[1] - start[1]) * (p[0] - start[0])

        cut = []
        for p, q in zip(left, left[1:] + left[:1]):
            if side(p) >= 0:
                cut.append(p)
            if side(p) * side(q) < 0:
                t = side(p) / (side(p) - side(q))
                cut.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
        left = cut
    shared = polygon_area(left) if left else 0.0
    return shared / (a[2] * a[3] + b[2] * b[3] - shared if mode == "iou" else a[2] * a[3])


def nms_rotated(boxes, scores, threshold, labels=None):
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        rivals = [j for j in kept if labels is None or labels[i] == labels[j]]
        if all(rotated_overlap(boxes[j], boxes[i]) < threshold for j in rivals):
            kept.append(i)
    return kept


def nms_match(boxes, scores, threshold):
    left, groups = sorted(range(len(scores)), key=lambda i: -scores[i]), []
    while left:
        best = left.pop(0)
        near = [i for i in left if iou(boxes[best], boxes[i]) >= threshold]
        groups.append([best, *near])
        left = [i for i in left if i not in near]
    return groups


def soft_nms(boxes, scores, threshold, sigma, min_score, method, offset=0):
    """(index, new score) in the order in which boxes are taken."""
    left, taken = dict(enumerate(scores)), []
    while left:
        best = max(left, key=lambda i: left[i])
        taken.append((best, left.pop(best)))
        for i in list(left):
            overlap = iou(boxes[best], boxes[i], offset)
            if method == "gaussian":
                left[i] *= math.exp(-(overlap**2) / sigma)
            elif overlap >= threshold:
                left[i] *= 1 - overlap if method == "linear" else 0
            if left[i] < min_score:
                del left[i]
    return taken


# -- regions ----------------------------------------------------------------------------------------------------------
def roi_align(features, rois, size, scale, sampling_ratio, aligned):
    """Averages of bilinear samples; beyond the outermost pixel centres the map goes on for half a pixel and more."""
    height, width = features.shape[2:]
    results = []
    for image, *box in rois.tolist():
        x1, y1, x2, y2 = (side * scale - (0.5 if aligned else 0.0) for side in box)
        wide, tall = x2 - x1, y2 - y1
        if not aligned:
            wide, tall = max(wide, 1.0), max(tall, 1.0)
        rows, columns = (
            sampling_ratio if sampling_ratio > 0 else math.ceil(extent / bins)
            for extent, bins in zip((tall, wide), size)
        )
        for by in range(size[0]):
            for bx in range(size[1]):
                total = torch.zeros(features.shape[1], dtype=torch.float64)
                for iy in range(rows):
                    for ix in range(columns):
                        y = y1 + (by + (iy + 0.5) / rows) * tall / size[0]
                        x = x1 + (bx + (ix + 0.5) / columns) * wide / size[1]
                        if -1.0 <= y <= height and -1.0 <= x <= width:
                            y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
                            total = total + bilinear(features[int(image)], torch.tensor(y), torch.tensor(x))
                results.append(total / max(rows * columns, 1))
    stacked = torch.stack(results) if results else features.new_zeros(0, features.shape[1])
    return stacked.view(len(rois), *size, features.shape[1]).permute(0, 3, 1, 2)


def roi_pool(features, rois, size, scale):
    height, width = features.shape[2:]
    output = torch.zeros(len(rois), features.shape[1], *size, dtype=torch.float64)
    for n, (image, x1, y1, x2, y2) in enumerate(rois.tolist()):
        left, top = x1 * scale, y1 * scale
        wide, tall = (x2 + 1) * scale - left, (y2 + 1) * scale - top
        for by in range(size[0]):
            for bx in range(size[1]):
                first = min(max(math.floor(by * (tall / size[0]) + top), 0), height)
                last = min(max(math.ceil((by + 1) * (tall / size[0]) + top), 0), height)
                begin = min(max(math.floor(bx * (wide / size[1]) + left), 0), width)
                end = min(max(math.ceil((bx + 1) * (wide / size[1]) + left), 0), width)
                if wide > 0 and tall > 0 and last > first and end > begin:
                    for c in range(features.shape[1]):
                        output[n, c, by, bx] = features[int(image), c, first:last, begin:end].max()
    return output


def roi_align_rotated(features, rois, size, scale, sampling_ratio, aligned, clockwise):
    """The bins of an upright box around 0, turned, then put to the box's centre."""
    results = []
    for image, x0, y0, wide, tall, angle in rois.tolist():
        x0, y0, wide, tall = (value * scale for value in (x0, y0, wide, tall))
        x0, y0 = (value - (0.5 if aligned else 0.0) for value in (x0, y0))
        if not aligned:
            wide, tall = max(wide, 1.0), max(tall, 1.0)
        direction = 1 if clockwise else -1  # as an image shows it, where y points down
        cos, sin = math.cos(angle), direction * math.sin(angle)
        rows = sampling_ratio or math.ceil(tall / size[0])
        columns = sampling_ratio or math.ceil(wide / size[1])
        for by in range(size[0]):
            for bx in range(size[1]):
                total = torch.zeros(features.shape[1], dtype=torch.float64)
                for iy in range(rows):
                    for ix in range(columns):
                        v = (by + (iy + 0.5) / rows) * tall / size[0] - tall / 2
                        u = (bx + (ix + 0.5) / columns) * wide / size[1] - wide / 2
                        place = torch.tensor([y0 + v * cos + u * sin, x0 - v * sin + u * cos], dtype=torch.float64)
                        total = total + held_bilinear(features[int(image)], *place)
                results.append(total / max(rows * columns, 1))
    stacked = torch.stack(results) if results else features.new_zeros(0, features.shape[1])
    return stacked.view(len(rois), *size, features.shape[1]).permute(0, 3, 1, 2)


def deform_roi_pool(features, rois, offset, size, scale, sampling_ratio, gamma):
    """`offset` (N, 2, h, w), x before y, or None."""
    results = []
    for n, (image, *box) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (side * scale - 0.5 for side in box)
        wide, tall = x2 - x1, y2 - y1
        rows = sampling_ratio or max(math.ceil(tall / size[0]), 0)
        columns = sampling_ratio or max(math.ceil(wide / size[1]), 0)
        for by in range(size[0]):
            for bx in range(size[1]):
                move_x, move_y = torch.zeros(2, dtype=torch.float64) if offset is None else offset[n, :, by, bx]
                total = torch.zeros(features.shape[1], dtype=torch.float64)
                for iy in range(rows):
                    for ix in range(columns):
                        y = y1 + (by + (iy + 0.5) / rows) * tall / size[0] + gamma * tall * move_y
                        x = x1 + (bx + (ix + 0.5) / columns) * wide / size[1] + gamma * wide * move_x
                        total = total + held_bilinear(features[int(image)], y, x)
                results.append(total / max(rows * columns, 1))
    return torch.stack(results).view(len(rois), *size, features.shape[1]).permute(0, 3, 1, 2)


# -- sampling ---------------------------------------------------------------------------------------------------------
def bilinear(image, y, x):
    """(C,): the map (C, H, W) at one place strictly inside of row and column -1, H and W, 0 elsewhere; differentiable
    in the map and in the place: on a pixel's centre, the slope towards the next one."""
    height, width = image.shape[1:]
    total = torch.zeros(image.shape[0], dtype=torch.float64)
    if not (-1 < y < height and -1 < x < width):
        return total
    low_y, low_x = math.floor(y.item()), math.floor(x.item())
    for row, share_y in ((low_y, 1 - (y - low_y)), (low_y + 1, y - low_y)):
        for column, share_x in ((low_x, 1 - (x - low_x)), (low_x + 1, x - low_x)):
            if 0 <= row < height and 0 <= column < width:
                total = total + image[:, row, column] * share_y * share_x
    return total


def held_bilinear(image, y, x):
    """(C,): as RoIAlign takes it, up to one pixel outside of the outermost centres, where the map goes on unchanged."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros(image.shape[0], dtype=torch.float64)
    y, x = (
        place if 0 <= place < size - 1 else torch.tensor(min(max(place.item(), 0.0), size - 1.0))
        for place, size in ((y, height), (x, width))
    )
    return bilinear(image, y, x)


def deform_conv(input, offset, weight, mask=None, bias=None, *, stride, padding, dilation, groups=1, deform_groups=1):
    """Every argument of a size is (vertical, horizontal). Offsets and masks are flat memory, image by image,
    that is read with the strides of the output."""
    batch, channels, height, width = input.shape
    out, _, kernel_h, kernel_w = weight.shape
    tall, wide = (
        (size + 2 * padding[i] - dilation[i] * (kernel - 1) - 1) // stride[i] + 1
        for i, (size, kernel) in enumerate(((height, kernel_h), (width, kernel_w)))
    )
    part = channels // deform_groups

    def value(maps, b, channel, y, x):
        return maps[b].flatten()[(channel * tall + y) * wide + x]

    rows = []
    for b in range(batch):
        for y in range(tall):
            for x in range(wide):
                columns = torch.zeros(channels, kernel_h, kernel_w, dtype=torch.float64)
                for d in range(deform_groups):
                    for i in range(kernel_h):
                        for j in range(kernel_w):
                            at = (d * kernel_h + i) * kernel_w + j
                            sample = bilinear(
                                input[b, d * part : (d + 1) * part],
                                y * stride[0] - padding[0] + i * dilation[0] + value(offset, b, 2 * at, y, x),
                                x * stride[1] - padding[1] + j * dilation[1] + value(offset, b, 2 * at + 1, y, x),
                            )
                            if mask is not None:
                                sample = sample * value(mask, b, at, y, x)
                            columns[d * part : (d + 1) * part, i, j] = sample
                per_group = columns.view(groups, -1), weight.view(groups, out // groups, -1)
                rows.append(torch.einsum("gi,goi->go", *per_group).flatten())
    output = torch.stack(rows).view(batch, tall, wide, out).permute(0, 3, 1, 2)
    return output if bias is None else output + bias.view(1, -1, 1, 1)


def deformable_attention(value, shapes, locations, weights):
    batch, _, heads, channels = value.shape
    queries, points = locations.shape[1], locations.shape[4]
    rows = []
    for b in range(batch):
        for q in range(queries):
            for m in range(heads):
                total, start = torch.zeros(channels, dtype=torch.float64), 0
                for level, (height, width) in enumerate(shapes):
                    image = value[b, start : start + height * width, m].T.reshape(channels, height, width)
                    start += height * width
                    for p in range(points):
                        x, y = locations[b, q, m, level, p]
                        total = total + weights[b, q, m, level, p] * bilinear(image, y * height - 0.5, x * width - 0.5)
                rows.append(total)
    return torch.stack(rows).view(batch, queries, heads * channels)


# -- focal losses -----------------------------------------------------------------------------------------------------
def sigmoid_focal(logits, target, gamma, alpha, weight=None):
    rows = []
    for n, label in enumerate(target.tolist()):
        for c in range(logits.shape[1]):
            p = 1 / (1 + torch.exp(-logits[n, c]))
            loss = -alpha * (1 - p) ** gamma * torch.log(p) if c == label else None
            if loss is None:
                loss = -(1 - alpha) * p**gamma * torch.log(1 - p)
            rows.append(loss * (1 if weight is None or label >= logits.shape[1] else weight[label]))
    return torch.stack(rows).view(logits.shape)


def softmax_focal(logits, target, gamma, alpha, weight=None):
    rows = []
    for n, label in enumerate(target.tolist()):
        exponents = torch.exp(logits[n])
        p = exponents[label] / exponents.sum()
        rows.append(-alpha * (1 - p) ** gamma * torch.log(p) * (1 if weight is None else weight[label]))
    return torch.stack(rows)


# -- windows ----------------------------------------------------------------------------------------------------------
def carafe(features, masks, size, groups, scale):
    batch, channels, height, width = features.shape
    half, part = size // 2, channels // groups
    rows = []
    for b in range(batch):
        for c in range(channels):
            for y in range(height * scale):
                for x in range(width * scale):
                    total = torch.zeros((), dtype=torch.float64)
                    for i in range(size):
                        for j in range(size):
                            row, column = y // scale + i - half, x // scale + j - half
                            if 0 <= row < height and 0 <= column < width:
                                weight = masks[b, (c // part * size + i) * size + j, y, x]
                                total = total + features[b, c, row, column] * weight
                    rows.append(total)
    return torch.stack(rows).view(batch, channels, height * scale, width * scale)


def psa_mask(windows, kind, size):
    batch, _, height, width = windows.shape
    spread = torch.zeros(batch, height, width, height, width, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            for i in range(size[0]):
                for j in range(size[1]):
                    row, column = y + i - (size[0] - 1) // 2, x + j - (size[1] - 1) // 2
                    if 0 <= row < height and 0 <= column < width:
                        weight = windows[:, i * size[1] + j, y, x]
                        if kind == "collect":
                            spread[:, row, column, y, x] = weight
                        else:
                            spread[:, y, x, row, column] = weight
    return spread.view(batch, height * width, height, width)
