"""FrozenCLIP on the GPU: equal to the CPU, half precision, torch.compile, channels_last, and still frozen."""

import pytest
import torch
import torch.nn.functional as F

from clipkit.shapes import render
from support.gpu_device import COMPILER, DEVICE, NAMES, frozen, gpu
from support.gpu_device import exact as exact

pytestmark = gpu
WORDS = ["a red star", "two blue rings on grass", "water", "the night sky over brick"]
HALF = {"bf16": (torch.bfloat16, 0.1), "fp16": (torch.float16, 0.015)}


def scenes(size=64, device=DEVICE):
    return render(6, seed=3, size=size, objects=(2, 3)).images.to(device)


def everything(clip, images):
    """Embeddings, maps and texts of a model, float32 on the CPU."""
    out = clip.features(images, layers=(0, -1))
    parts = {"image": clip.encode_image(images), "embedding": out.embedding, "dense": out.dense.flatten(2)}
    parts |= {f"map {n}": m.flatten(2) for n, m in enumerate(out.maps)} | {"text": clip.encode_text(WORDS)}
    return {name: part.float().cpu() for name, part in parts.items()}


def error(got, expected):
    """Greatest distance from `expected`, in units of the median distance between two of its items: embeddings of
    different images may be nearly parallel, so a cosine close to 1 would say little."""
    apart = torch.pdist(expected.flatten(1)).median()
    assert apart > 0.05 * expected.flatten(1).norm(dim=1).median(), "the items are all alike: nothing is tested"
    return float((got - expected).flatten(1).norm(dim=1).max() / apart)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", NAMES)
def test_equal_to_the_cpu_also_at_another_size(name):
    here, there = frozen(name, "cpu"), frozen(name)
    assert there.weights_hash == here.weights_hash
    for size in (64, 96):
        if name == "resnet" and size != 64:
            continue
        expected = everything(here, scenes(size, "cpu"))
        for part, got in everything(there, scenes(size)).items():
            assert error(got, expected[part]) < 1e-3, (part, size)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_near_fp32(name, precision):
    dtype, tolerance = HALF[precision]
    full, half = frozen(name), frozen(name, precision=precision)
    assert half.dtype == dtype and half.encode_image(scenes()).dtype == dtype
    expected = everything(full, scenes())
    for part, got in everything(half, scenes()).items():
        assert torch.isfinite(got).all(), part
        assert error(got, expected[part]) < tolerance, part


@pytest.mark.parametrize("dense", ["maskclip", "sclip", "clearclip", "naclip", "vanilla"])
def test_dense_variants_in_half_precision(dense):
    full, half = (frozen("vit", dense=dense, precision=precision) for precision in ("fp32", "bf16"))
    images = scenes(80)
    assert error(half.features(images).dense.float().cpu(), full.features(images).dense.cpu()) < 0.1


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", NAMES)
def test_compiled_equals_eager(name):
    clip = frozen(name)
    torch.compiler.reset()
    compiled = torch.compile(lambda images: clip.features(images, layers=(0, -1)), backend=COMPILER)
    for size in (64, 96) if name != "resnet" else (64,):
        images = scenes(size)
        expected, got = clip.features(images, layers=(0, -1)), compiled(images)
        assert not got.embedding.requires_grad
        assert error(got.embedding.cpu(), expected.embedding.cpu()) < 1e-3
        assert error(got.dense.cpu(), expected.dense.cpu()) < 1e-3
        assert error(got.maps[0].cpu(), expected.maps[0].cpu()) < 1e-3


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", NAMES)
def test_channels_last_changes_no_value(name):
    plain, last = frozen(name), frozen(name).to(memory_format=torch.channels_last)
    kernels = [p for p in last.parameters() if p.ndim == 4 and min(p.shape) > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    assert last.weights_hash == plain.weights_hash
    expected = everything(plain, scenes())
    for part, got in everything(last, scenes().contiguous(memory_format=torch.channels_last)).items():
        assert error(got, expected[part]) < 1e-3, part


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_training_beside_it_leaves_it_alone(precision):
    clip = frozen("vit", precision=precision)
    before = clip.weights_hash
    head = torch.nn.Linear(clip.embed_dim, 3, device=DEVICE)
    model = torch.nn.ModuleDict({"clip": clip, "head": head}).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    start = head.weight.detach().clone()
    target = torch.arange(6, device=DEVICE) % 3
    for _ in range(3):
        loss = F.cross_entropy(head(clip.encode_image(scenes()).float()), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    clip._hash = None
    assert clip.weights_hash == before and not torch.equal(head.weight, start)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_gradients_reach_the_input_through_half_precision(precision):
    clip = frozen("vit", precision=precision)
    images = scenes().requires_grad_()
    clip.encode_image(images).float().square()[:, 0].sum().backward()
    assert images.grad.dtype == torch.float32 and torch.isfinite(images.grad).all() and images.grad.abs().max() > 0
