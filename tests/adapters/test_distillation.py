"""Distillation losses against float64 loops; the teacher's crops against plain slicing."""

import math

import pytest
import torch
import torch.nn.functional as F

from clipkit.adapters import (
    CLIPTeacher,
    CosineDistillLoss,
    L1DistillLoss,
    RelationalDistillLoss,
    SimilarityKLLoss,
    crop_boxes,
    pool_boxes,
    scale_boxes,
)


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(v):
    norm = math.sqrt(sum(float(a) ** 2 for a in v))
    return [float(a) / norm for a in v]


def dot(a, b):
    return sum(p * q for p, q in zip(a, b))


def softmax(values):
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def oracle(name, s, t, anchors=None):
    s, t = [unit(v) for v in s], [unit(v) for v in t]
    n = len(s)
    if name == "l1":
        return sum(abs(a - b) for p, q in zip(s, t) for a, b in zip(p, q)) / n
    if name == "cosine":
        return sum(1 - dot(p, q) for p, q in zip(s, t)) / n
    if name == "relational":
        return sum((dot(s[i], s[j]) - dot(t[i], t[j])) ** 2 for i in range(n) for j in range(n)) / n**2
    anchors = t if anchors is None else [unit(v) for v in anchors]
    total = 0.0
    for p, q in zip(s, t):
        ps, qs = softmax([dot(p, a) / 0.1 for a in anchors]), softmax([dot(q, a) / 0.2 for a in anchors])
        total += sum(b * math.log(b / a) for a, b in zip(ps, qs))
    return total / n


LOSSES = {
    "l1": L1DistillLoss,
    "cosine": CosineDistillLoss,
    "relational": RelationalDistillLoss,
    "kl": lambda weight=1.0: SimilarityKLLoss(weight, temperature=0.1, teacher_temperature=0.2),
}


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("n", [1, 6])
def test_losses_equal_loops(name, n):
    s, t = rows(n, 5), rows(n, 5, seed=1)
    assert LOSSES[name](weight=0.5)(s, t).item() == pytest.approx(0.5 * oracle(name, s, t), abs=1e-12)


def test_kl_over_given_anchors():
    s, t, anchors = rows(6, 5), rows(6, 5, seed=1), rows(9, 5, seed=2)
    value = LOSSES["kl"]()(s, t, anchors=anchors)
    assert value.item() == pytest.approx(oracle("kl", s, t, anchors), abs=1e-12)


def test_l1_has_vilds_scale():
    """w * D * mean|.|: DetPro's 256 * F.l1_loss is w = 0.5 at D = 512."""
    s, t = F.normalize(rows(4, 512), dim=1), F.normalize(rows(4, 512, seed=1), dim=1)
    assert L1DistillLoss(weight=0.5)(s, t).item() == pytest.approx(256 * F.l1_loss(s, t).item(), rel=1e-12)


@pytest.mark.parametrize("name", list(LOSSES))
def test_maps_are_rows_and_valid_selects_them(name):
    s, t = rows(2, 5, 3, 4), rows(2, 5, 3, 4, seed=1)
    valid = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(2)) > 0.4
    flat = [torch.stack([x[b, :, i, j] for b in range(2) for i in range(3) for j in range(4)]) for x in (s, t)]
    keep = valid.flatten()
    expected = LOSSES[name]()(flat[0][keep], flat[1][keep])
    torch.testing.assert_close(LOSSES[name]()(s, t, valid), expected)


@pytest.mark.parametrize("name", list(LOSSES))
def test_nothing_valid_gives_zero_with_a_gradient(name):
    s = rows(3, 5).requires_grad_()
    value = LOSSES[name]()(s, rows(3, 5, seed=1), torch.zeros(3, dtype=torch.bool))
    value.backward()
    assert value.item() == 0 and (s.grad == 0).all()
    assert LOSSES[name]()(rows(0, 5), rows(0, 5)).item() == 0


@pytest.mark.parametrize("name", ["l1", "cosine", "relational"])
def test_equal_embeddings_cost_nothing_and_the_teacher_gets_no_gradient(name):
    s = rows(4, 5)
    assert LOSSES[name]()(s, 3 * s).item() == pytest.approx(0.0, abs=1e-12)
    t = rows(4, 5, seed=1).requires_grad_()
    LOSSES[name]()(s.requires_grad_(), t).backward()
    assert t.grad is None


def test_relational_student_may_have_another_width():
    turned = rows(4, 5) @ torch.linalg.qr(rows(7, 7))[0][:5]
    assert RelationalDistillLoss()(turned, rows(4, 5)).item() == pytest.approx(0.0, abs=1e-12)


def test_mismatches_are_refused():
    with pytest.raises(ValueError, match="do not match"):
        CosineDistillLoss()(rows(3, 5), rows(4, 5))
    with pytest.raises(ValueError, match="do not match"):
        L1DistillLoss()(rows(3, 5), rows(3, 6))
    with pytest.raises(ValueError, match="valid"):
        L1DistillLoss()(rows(3, 5), rows(3, 5), torch.ones(2))
    with pytest.raises(ValueError, match="temperatures"):
        SimilarityKLLoss(temperature=0)


class ColourClip(torch.nn.Module):
    """A stand-in with FrozenCLIP's interface: its embedding is the mean colour, its dense map 8-pixel cells."""

    image_size, embed_dim, patch_size = (16, 16), 3, 8

    def encode_image(self, images, normalize=True):
        assert images.shape[-2:] == self.image_size or images.shape[-1] == 32
        out = images.mean((-2, -1)) + torch.tensor([0.1, 0.0, 0.0])
        return F.normalize(out, dim=-1) if normalize else out

    def features(self, images):
        class Features:
            dense = F.avg_pool2d(images, 8)

        return Features


@pytest.mark.parametrize("order", ["sum-normalize", "normalize-sum"])
def test_regions_add_both_crops_in_the_order_asked(order):
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    boxes = [torch.tensor([[4.0, 4, 12, 12], [0, 0, 32, 32]]), torch.tensor([[20.0, 8, 30, 16]])]
    clip = ColourClip()
    out = CLIPTeacher(clip, order=order, crop_batch=2).regions(images, boxes)
    expected = []
    for b in range(2):
        for box in boxes[b]:
            total = 0
            for scale in (1.0, 1.5):
                crop = crop_boxes(images[b], scale_boxes(box, scale), (16, 16))
                embedding = clip.encode_image(crop, normalize=False)[0]
                total = total + (embedding / embedding.norm() if order == "normalize-sum" else embedding)
            expected.append(total / total.norm())
    torch.testing.assert_close(out, torch.stack(expected))


def test_the_orders_differ():
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images[:, :, 8:24, 8:24] *= 0.1
    boxes = [torch.tensor([[8.0, 8, 24, 24]])]
    a, b = (CLIPTeacher(ColourClip(), order=o).regions(images, boxes) for o in ("sum-normalize", "normalize-sum"))
    assert (a - b).abs().max() > 1e-3


def test_image_dense_and_pooled_targets():
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    teacher, clip = CLIPTeacher(ColourClip()), ColourClip()
    torch.testing.assert_close(teacher.image(images), clip.encode_image(images))
    dense = F.avg_pool2d(images, 8)
    torch.testing.assert_close(teacher.dense(images), F.normalize(dense, dim=1))
    assert teacher.dense(images, size=(7, 9)).shape == (2, 3, 7, 9)
    boxes = [torch.tensor([[3.0, 4, 20, 21]]), torch.zeros(0, 4)]
    pooled = F.normalize(pool_boxes(dense, boxes, (32, 32)), dim=-1)
    out = teacher.regions(images, boxes, source="dense")
    torch.testing.assert_close(out, pooled)
    assert not out.requires_grad


def test_the_dense_map_covers_pictures_of_any_size():
    """Cut off by patches, a 30-pixel picture would lose its last 6 columns."""
    images = torch.rand(1, 3, 32, 30, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(images, (32, 32), mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(CLIPTeacher(ColourClip()).dense(images), F.normalize(F.avg_pool2d(whole, 8), dim=1))


def test_no_boxes_and_bad_arguments():
    teacher, images = CLIPTeacher(ColourClip()), torch.rand(2, 3, 32, 32)
    assert teacher.regions(images, [torch.zeros(0, 4)] * 2).shape == (0, 3)
    with pytest.raises(ValueError, match="box tensors"):
        teacher.regions(images, [torch.zeros(0, 4)])
    with pytest.raises(ValueError, match="source"):
        teacher.regions(images, [torch.zeros(0, 4)] * 2, source="x")
    with pytest.raises(ValueError, match="order"):
        CLIPTeacher(ColourClip(), order="x")
    with pytest.raises(ValueError, match="crop_scales"):
        CLIPTeacher(ColourClip(), crop_scales=())


def test_a_student_that_holds_the_teacher_does_not_own_it():
    student = torch.nn.Linear(3, 3)
    clip = ColourClip()
    clip.register_parameter("w", torch.nn.Parameter(torch.zeros(3)))
    student.teacher = CLIPTeacher(clip)
    assert sorted(student.state_dict()) == ["bias", "weight"] and len(list(student.parameters())) == 2


@pytest.mark.parametrize("loss", [SimilarityKLLoss(), RelationalDistillLoss()])
def test_autocast_does_not_round_similarities(loss):
    """At a temperature of 0.01 bfloat16 would move the logits by up to 0.4."""
    index = torch.arange(16 * 32)
    student, teacher = torch.sin(index * 0.37).view(16, 32), torch.sin(index * 0.91).view(16, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(student, teacher)
    torch.testing.assert_close(found, loss(student, teacher), rtol=1e-6, atol=0)
