"""Losses, teacher and pooling on the GPU: equal to the CPU, chunked equal to plain, float32 under autocast."""

import pytest
import torch

from clipkit.adapters import CLIPTeacher, ContrastiveLoss, MultiPositiveLoss, SigmoidLoss, pool_boxes, pool_masks
from support.gpu_device import DEVICE, cuda_only, frozen, gpu
from support.gpu_device import exact as exact

pytestmark = gpu


def pairs(batch=203, dim=24, device=DEVICE, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, dim, generator=generator, dtype=torch.float64)
    y = x + torch.randn(batch, dim, generator=generator, dtype=torch.float64)
    ids = torch.randint(60, (batch,), generator=generator)
    scale = torch.tensor(20.0, dtype=torch.float64)
    values = [value.to(device, dtype).requires_grad_() for value in (x, y, scale)]
    return (*values, ids.to(device))


def contrastive(x, y, scale, ids, chunk):
    return ContrastiveLoss(chunk=chunk)(x, y, scale)


def multi_positive(x, y, scale, ids, chunk):
    return MultiPositiveLoss(chunk=chunk)(x, y, scale, ids)


def sigmoid(x, y, scale, ids, chunk):
    return SigmoidLoss(chunk=chunk)(x, y, scale, torch.tensor(-8.0, device=x.device), ids)


LOSSES = [contrastive, multi_positive, sigmoid]


def loss_and_gradients(loss, chunk, **options):
    x, y, scale, ids = pairs(**options)
    value = loss(x, y, scale, ids, chunk)
    value.backward()
    return [part.detach().cpu().double() for part in (value, x.grad, y.grad, scale.grad)]


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("loss", LOSSES)
def test_chunked_equals_plain_equals_the_cpu(loss, dtype, tolerance):
    expected = loss_and_gradients(loss, None, device="cpu", dtype=torch.float64)
    for chunk in (None, 1, 64, 1000):
        for got, wanted in zip(loss_and_gradients(loss, chunk, dtype=dtype), expected):
            torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("loss", LOSSES)
def test_autocast_does_not_round_the_logits(loss):
    x, y, scale, ids = pairs()
    plain = loss(x, y, scale, ids, 64)
    with torch.autocast(torch.device(DEVICE).type, dtype=torch.bfloat16):
        cast = loss(x, y, scale, ids, 64)
    assert cast.dtype == torch.float32 and torch.equal(cast, plain)


@cuda_only
def test_chunks_save_memory():
    def peak(chunk, batch=8192):
        x, y, scale, ids = pairs(batch)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        contrastive(x, y, scale, ids, chunk).backward()
        return torch.cuda.max_memory_allocated() - before

    assert peak(256) < 0.2 * peak(None)


@pytest.mark.usefixtures("exact")
def test_pooling_equals_the_cpu():
    dense = torch.sin(torch.arange(2 * 6 * 7 * 9, dtype=torch.float32)).reshape(2, 6, 7, 9)
    boxes = [torch.tensor([[1.0, 2, 40, 30], [0, 0, 9, 9]]), torch.tensor([[5.0, 5, 60, 50]])]
    masks = torch.sin(torch.arange(2 * 3 * 28 * 36.0)).reshape(2, 3, 28, 36) > 0
    on_device = pool_boxes(dense.to(DEVICE), [b.to(DEVICE) for b in boxes], (56, 72))
    torch.testing.assert_close(on_device.cpu(), pool_boxes(dense, boxes, (56, 72)), rtol=1e-4, atol=1e-5)
    on_device = pool_masks(dense.to(DEVICE), masks.to(DEVICE))
    torch.testing.assert_close(on_device.cpu(), pool_masks(dense, masks), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("source", ["crops", "dense"])
def test_teacher_follows_the_images_and_agrees_with_the_cpu(source):
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    boxes = [torch.tensor([[1.0, 2, 40, 30], [8, 8, 40, 50]]), torch.zeros(0, 4)]
    expected = CLIPTeacher(frozen("vit", "cpu")).regions(images, boxes, source)
    teacher = CLIPTeacher(frozen("vit", "cpu"))
    got = teacher.regions(images.to(DEVICE), [b.to(DEVICE) for b in boxes], source)
    assert got.device.type == teacher.clip.device.type == torch.device(DEVICE).type
    assert got.shape == (2, 32)
    torch.testing.assert_close(got.cpu(), expected, rtol=1e-3, atol=1e-4)
