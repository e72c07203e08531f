"""NMS in its three kinds, through mmcv's own functions, against float64 loops."""

import numpy as np
import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmcv.ops)

pytest.importorskip("mmcv")

from mmcv.ops import batched_nms, nms, nms_match, soft_nms

from support import mmcv_ops_oracles as oracle

BOXES, SCORES = oracle.some_boxes(60)


def near(a, b):
    torch.testing.assert_close(torch.as_tensor(a).double(), torch.as_tensor(b).double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7])
def test_nms_keeps_what_the_loop_keeps(threshold, offset):
    dets, kept = nms(BOXES.float(), SCORES.float(), threshold, offset=offset)
    expected = oracle.nms(BOXES.tolist(), SCORES.tolist(), threshold, offset)
    assert 1 < len(expected) < 60
    assert kept.dtype == torch.int64 and kept.tolist() == expected
    near(dets, torch.cat([BOXES, SCORES[:, None]], 1)[expected])


def test_offset_counts_the_last_pixel():
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 5.0, 9.0, 14.0]])  # 10 x 10 pixels each, 5 rows shared: 50 / 150
    scores = torch.tensor([0.9, 0.8])
    assert len(nms(boxes, scores, 0.32, offset=1)[1]) == 1
    assert len(nms(boxes, scores, 0.32, offset=0)[1]) == 2  # 9 x 4 of 126: 0.286


def test_boxes_exactly_at_the_threshold_stay():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 3.0]])  # 0.3 in float32 is above 0.3 in float64
    assert len(nms(boxes, torch.tensor([0.9, 0.8]), 0.3)[1]) == 2


def test_nms_with_score_threshold_limit_and_arrays():
    expected = [i for i in oracle.nms(BOXES.tolist(), SCORES.tolist(), 0.5) if SCORES[i] > 0.4][:5]
    boxes, scores = BOXES.float().numpy(), SCORES.float().numpy()
    dets, kept = nms(boxes, scores, 0.5, score_threshold=0.4, max_num=5)
    assert isinstance(dets, np.ndarray) and kept.tolist() == expected


def test_batched_nms_keeps_classes_apart():
    classes = torch.arange(60) % 3
    dets, kept = batched_nms(BOXES.float(), SCORES.float(), classes, dict(type="nms", iou_threshold=0.4))
    expected = []
    for c in range(3):
        mine = [i for i in range(60) if i % 3 == c]
        expected += [mine[k] for k in oracle.nms(BOXES[mine].tolist(), SCORES[mine].tolist(), 0.4)]
    assert kept.tolist() == sorted(expected, key=lambda i: -SCORES[i])
    near(dets[:, :4], BOXES[kept])


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
def test_soft_nms_takes_and_scores_like_the_loop(method, offset):
    options = dict(sigma=0.5, min_score=0.05, method=method, offset=offset)
    expected = oracle.soft_nms(BOXES.tolist(), SCORES.tolist(), 0.3, **options)
    dets, kept = soft_nms(BOXES.float(), SCORES.float(), 0.3, **options)
    assert 1 < len(expected) < 60
    assert kept.tolist() == [i for i, _ in expected]
    near(dets, torch.cat([BOXES[kept], torch.tensor([[s] for _, s in expected])], 1))


def test_soft_nms_puts_equal_scores_in_the_order_of_the_compiled_operator():
    # Taking box 2 swaps it with 0. Boxes 1 and 3 overlap it and go: the last ones, 5 and then 4, move to their places.
    far, near = [[60.0, 0, 70, 10], [30, 0, 40, 10], [90, 0, 99, 9]], [[0, 0, 10, 9], [0, 0, 10, 10], [0, 0, 9, 10]]
    boxes = torch.tensor([far[0], *near, *far[1:]])
    _, kept = soft_nms(boxes, torch.tensor([0.5, 0.5, 0.9, 0.5, 0.5, 0.5]), 0.5, min_score=0.3, method="naive")
    assert kept.tolist() == [2, 5, 0, 4]


def test_nms_match_groups_like_the_loop():
    expected = oracle.nms_match(BOXES.tolist(), SCORES.tolist(), 0.4)
    dets = torch.cat([BOXES, SCORES[:, None]], 1).float()
    assert [group.tolist() for group in nms_match(dets, 0.4)] == expected
    assert [group.tolist() for group in nms_match(dets.numpy(), 0.4)] == expected
    assert 1 < len(expected) < 60


def test_nothing_in_nothing_out():
    none = torch.zeros(0, 4)
    for function in (nms, soft_nms):
        dets, kept = function(none, torch.zeros(0), 0.5)
        assert dets.shape == (0, 5) and kept.shape == (0,) and kept.dtype == torch.int64
    assert nms_match(torch.zeros(0, 5), 0.5) == []


def test_boxes_without_area_do_no_harm():
    boxes = torch.tensor([[3.0, 3, 3, 3], [3, 3, 3, 3], [0, 0, 5, 5]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    for method in ("linear", "gaussian"):
        dets, kept = soft_nms(boxes, scores, 0.3, method=method)
        assert kept.tolist() == [0, 1, 2] and torch.equal(dets[:, 4], scores)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    boxes, scores = BOXES.round().to(dtype), torch.arange(60, 0, -1).to(dtype)
    kept = nms(boxes, scores, 0.4)[1]
    assert kept.tolist() == oracle.nms(boxes.tolist(), scores.tolist(), 0.4)
