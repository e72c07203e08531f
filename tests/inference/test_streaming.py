"""Labels in chunks against all labels at once, in float64; and how much memory it takes."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from clipkit.inference import (
    classify_placed,
    classify_stream,
    embed_views,
    multi_scale,
    multi_scale_views,
    sliding_window,
    window_views,
)
from clipkit.nn import SpatialRegularisation


def inputs(dtype=torch.float64, rows=23, dim=6, size=(5, 7)):
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(2, dim, *size, generator=generator, dtype=torch.float64)
    text = F.normalize(torch.randn(rows, dim, generator=generator, dtype=torch.float64), dim=1)
    return embedding.to(dtype), text.to(dtype)


def all_at_once(embedding, text, size, scale, row_class=None, head=None, align_corners=False):
    """Logits (B, classes, H, W), a class's rows joined by their maximum before the interpolation."""
    unit = embedding / embedding.square().sum(1, keepdim=True).sqrt()
    logits = scale * torch.einsum("bdhw,rd->brhw", unit, text)
    if head is not None:
        logits = head(logits)
    if row_class is not None:
        classes = sorted(set(row_class.tolist()))
        logits = torch.stack([logits[:, row_class == c].amax(1) for c in classes], dim=1)
    return F.interpolate(logits, size, mode="bilinear", align_corners=align_corners)


def check(found, logits, k=1, atol=1e-12):
    best = logits.topk(k, dim=1)
    torch.testing.assert_close(found.scores, best.values, atol=atol, rtol=atol)
    torch.testing.assert_close(found.probability, logits.softmax(1).amax(1), atol=atol, rtol=atol)
    runner_up = logits.topk(k + 1, dim=1).values
    clear = (runner_up[:, :-1] - runner_up[:, 1:]).amin(1) > 2 * atol * logits.abs().max()
    assert clear.double().mean() > 0.99
    assert torch.equal(found.indices.movedim(1, -1)[clear], best.indices.movedim(1, -1)[clear])
    assert torch.equal(found.labels, found.indices[:, 0])


@pytest.mark.parametrize("size", [(5, 7), (10, 14), (33, 20), (3, 40)])
@pytest.mark.parametrize("align_corners", [False, True])
def test_equals_all_at_once(size, align_corners):
    embedding, text = inputs()
    logits = all_at_once(embedding, text, size, 14.0, align_corners=align_corners)
    for chunk, tile in ((1, 100), (4, 8), (None, 5), (100, 64)):
        found = classify_stream(
            embedding, text, size, 14.0, label_chunk=chunk, tile=tile, align_corners=align_corners, top_k=3
        )
        check(found, logits, k=3)
        check(classify_stream(embedding, text, size, 14.0, label_chunk=chunk, align_corners=align_corners), logits)


def test_float32_is_within_1e_5():
    embedding, text = inputs(torch.float32, rows=300, dim=64, size=(20, 30))
    logits = all_at_once(embedding.double(), text.double(), (80, 120), 1 / 0.07)
    found = classify_stream(embedding, text, (80, 120), torch.tensor(1 / 0.07), label_chunk=64)
    assert found.scores.dtype == torch.float32
    assert (found.scores - logits.amax(1, keepdim=True)).abs().max() < 1e-5
    assert (found.probability - logits.softmax(1).amax(1)).abs().max() < 1e-5
    two = logits.topk(2, dim=1).values
    clear = two[:, 0] - two[:, 1] > 1e-5
    assert torch.equal(found.labels[clear], logits.argmax(1)[clear])


def test_synonyms_are_joined_before_interpolation_in_any_order_of_rows():
    embedding, text = inputs()
    row_class = torch.arange(23) % 9
    row_class[row_class == 4] = 8  # class 8 has most rows, and no row says 4: it is the caller's numbering
    logits = all_at_once(embedding, text, (12, 13), 20.0, row_class)
    for chunk in (1, 3, 7, 50):
        found = classify_stream(embedding, text, (12, 13), 20.0, row_class=row_class, label_chunk=chunk, tile=6)
        names = torch.tensor(sorted(set(row_class.tolist())))
        assert torch.equal(found.labels, names[logits.argmax(1)])
        torch.testing.assert_close(found.scores, logits.amax(1, keepdim=True))
        torch.testing.assert_close(found.probability, logits.softmax(1).amax(1))


@pytest.mark.parametrize("kind", ["bottleneck", "depthwise"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_blocks_that_compare_labels(kind, depth):
    torch.manual_seed(0)
    embedding, text = inputs()
    head = SpatialRegularisation(kind, depth, "tanh").double()
    row_class = torch.arange(23).clamp(max=20)
    for owner in (None, row_class):
        logits = all_at_once(embedding, text, (15, 21), 5.0, owner, head)
        for chunk in (1, 5, 23):
            found = classify_stream(
                embedding, text, (15, 21), 5.0, row_class=owner, head=head, label_chunk=chunk, tile=4, top_k=2
            )
            check(found, logits, k=2)


def extract(x):
    """(N, 3, h, w) -> (N, 6, ceil(h / 2), ceil(w / 2)), depending on the border."""
    kernel = torch.sin(torch.arange(6 * 3 * 9, dtype=x.dtype) * 2.0**0.5).reshape(6, 3, 3, 3)
    return F.conv2d(x, kernel, stride=2, padding=1)


def predictor(text, head=None):
    return lambda x: all_at_once(extract(x), text, x.shape[-2:], 9.0, head=head, align_corners=True)


@pytest.mark.parametrize("kind", [None, "bottleneck"])
def test_windows_scales_and_mirroring(kind):
    """Sums over windows, scales and mirror images are taken apart into tiles, and are those of the plain functions."""
    torch.manual_seed(0)
    _, text = inputs()
    head = None if kind is None else SpatialRegularisation(kind, 2).double()
    image = torch.randn(3, 31, 45, dtype=torch.float64)
    options = dict(scales=(0.5, 1.0, 1.6), flip=True, base_size=40, window=24, stride=16, pad_value=[-1.0, 0.0, 1.0])
    cases = [
        (multi_scale_views(image), predictor(text, head)(image[None])),
        (multi_scale_views(image, **options), multi_scale(predictor(text, head), image[None], **options)),
        (multi_scale_views(image, (1, 2), True), multi_scale(predictor(text, head), image[None], (1, 2), True)),
        (window_views(image, 20, (9, 15)), sliding_window(predictor(text, head), image[None], 20, (9, 15))),
        (window_views(image, 50, 50), predictor(text, head)(image[None])),
    ]
    for views, logits in cases:
        parts = list(embed_views(extract, views, align_corners=True, batch_size=3))
        found = classify_placed(parts, text, 9.0, head=head, label_chunk=6, tile=11, top_k=2)
        torch.testing.assert_close(found.scores, logits[0].topk(2, dim=0).values)
        assert torch.equal(found.indices, logits[0].topk(2, dim=0).indices)
        torch.testing.assert_close(found.probability, logits[0].softmax(0).amax(0))


def test_views_show_the_network_the_same_pictures():
    seen: list[list] = [[], []]
    image = torch.randn(3, 31, 45)
    options = dict(scales=(0.5, 1.6), flip=True, base_size=40, window=24, stride=16)
    multi_scale(lambda x: seen[0].extend(x) or x, image[None], **options)
    seen[1] = [view.values for view in multi_scale_views(image, **options)]
    assert len(seen[0]) == len(seen[1])
    for picture in seen[1]:
        assert any(torch.equal(picture, other) for other in seen[0])


def test_one_label_and_more_places_than_labels():
    embedding, text = inputs(rows=2)
    one = classify_stream(embedding, text[:1], (9, 9), 3.0)
    assert (one.labels == 0).all() and (one.probability == 1).all()
    many = classify_stream(embedding, text, (9, 9), 3.0, top_k=5, label_chunk=1)
    assert many.indices.shape == (2, 2, 9, 9) and (many.scores[:, 0] >= many.scores[:, 1]).all()
    assert (many.indices.sum(1) == 1).all()


def test_a_chunk_is_as_large_as_its_maps_may_be(monkeypatch):
    """Without `label_chunk` it follows from the size of the maps, and a class is never cut."""
    rows: list[int] = []

    class Watch(SpatialRegularisation):
        def apply_once(self, x, top=None, last=False):
            rows.append(x.shape[1])
            return super().apply_once(x, top, last)

    monkeypatch.setattr("clipkit.inference._streaming.CHUNK_ELEMENTS", 10 * 5 * 7)
    embedding, text = inputs()
    head = Watch("depthwise", 1).double()
    classify_stream(embedding[:1], text, (9, 9), 3.0, head=head)
    assert rows == [10, 10, 3]
    rows.clear()
    classify_stream(embedding[:1], text, (9, 9), 3.0, head=head, row_class=torch.arange(23).clamp(min=14))
    assert rows == [15, 8]


def test_autocast_of_the_caller_is_left():
    embedding, text = inputs(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = classify_stream(embedding, text, (9, 9), 100.0)
    torch.testing.assert_close(inside.scores, classify_stream(embedding, text, (9, 9), 100.0).scores, atol=0, rtol=0)


def test_sizes_that_do_not_fit():
    embedding, text = inputs()
    with pytest.raises(ValueError, match="does not fit"):
        classify_stream(embedding, text[:, :5], (9, 9), 1.0)
    with pytest.raises(ValueError, match="does not fit"):
        classify_stream(embedding, text, (9, 9), 1.0, row_class=torch.arange(5))
    with pytest.raises(ValueError, match="at least one"):
        classify_placed([], text, 1.0)


PEAKS = """
import sys
import torch
from clipkit.inference import classify_stream

rows, chunk, side, dim = (int(n) for n in sys.argv[1:])
torch.manual_seed(0)
embedding = torch.randn(1, dim, side // 4, side // 4)
text = torch.nn.functional.normalize(torch.randn(rows, dim), dim=1)
for count in (chunk, rows):
    classify_stream(embedding, text[:count], (side, side), 14.0, label_chunk=chunk)
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_labels():
    """In a process of its own; all logits of 1500 labels at 256 x 256 would be 375 MiB, and a chunk of 100 is 25."""
    command = [sys.executable, "-c", PEAKS, "1500", "100", "256", "16"]
    one, many = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert (int(many) - int(one)) / 1024 < 120
