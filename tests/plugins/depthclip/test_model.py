"""The model: depth against loops in float64, both spaces, the fit of the bins against scipy, and what does not fit."""

import math

import numpy as np
import pytest
import torch
from clipkit_plugins.depthclip.bins import BinFit
from scipy.optimize import minimize

from clipkit.engine.plugins import load_plugins
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.shapes.depths import DISTANCES, depth_scenes
from support.closed_form import closed_form_


def build(**options):
    load_plugins("depthclip")
    return MODELS.build(dict(type="DepthCLIP", **{"clip": "tiny_clip", **options})).eval()


def loops(embeddings, texts, bins, temperature):
    """(D, h, w), (K, D) -> depth of each patch, as the paper writes it."""
    _, rows, columns = embeddings.shape
    out = np.zeros((rows, columns))
    for y in range(rows):
        for x in range(columns):
            logits = [
                100 / temperature * sum(float(f) * float(t) for f, t in zip(embeddings[:, y, x], row)) for row in texts
            ]
            most = max(logits)
            shares = [math.exp(logit - most) for logit in logits]
            out[y, x] = sum(share * b for share, b in zip(shares, bins)) / sum(shares)
    return out


def enlarged(patches, height, width):
    """Bilinear with corners on corners."""
    rows, columns = patches.shape
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            v, u = y * (rows - 1) / (height - 1), x * (columns - 1) / (width - 1)
            i, j = min(int(v), rows - 2), min(int(u), columns - 2)
            a, b = v - i, u - j
            top = (1 - b) * patches[i, j] + b * patches[i, j + 1]
            out[y, x] = (1 - a) * top + a * ((1 - b) * patches[i + 1, j] + b * patches[i + 1, j + 1])
    return out


def pooled(embeddings, pool):
    """(D, h, w): the unit mean of each embedding and those up to `pool` rows and columns away that there are."""
    _, rows, columns = embeddings.shape
    out = torch.zeros_like(embeddings)
    for y in range(rows):
        for x in range(columns):
            near = [
                embeddings[:, v, u]
                for v in range(max(0, y - pool), min(rows, y + pool + 1))
                for u in range(max(0, x - pool), min(columns, x + pool + 1))
            ]
            mean = sum(near) / len(near)
            out[:, y, x] = mean / mean.pow(2).sum().sqrt()
    return out


@pytest.mark.parametrize(("temperature", "pool"), [(0.1, 0), (1.0, 0), (1.0, 2)])
def test_depth_equals_loops(temperature, pool):
    model = build(temperature=temperature, pool=pool)
    image = depth_scenes(1, seed=4).images
    dense = []
    for view in (image, image.flip(-1)):
        found = model.clip.features(view).dense[0].double()
        dense.append(pooled(found / found.pow(2).sum(0, keepdim=True).sqrt(), pool))
    texts = model.clip.encode_text([f"This object is {word}" for word in model.words]).double()
    one, mirrored = (loops(part, texts, DISTANCES, temperature) for part in dense)
    wanted = enlarged((one + mirrored[:, ::-1]) / 2, 64, 64)
    np.testing.assert_allclose(model.depth(image)[0].numpy(), wanted, atol=2e-3 if temperature < 1 else 2e-4)


def test_compat_is_the_released_code():
    """Layer 4 of a ResNet, unit length, every second channel, ImageNet's normalisation, no attention pool."""
    model = build(clip="RN50", space="compat", size=(64, 96), flip=False)
    closed_form_(model.clip)
    model.texts = model.clip.encode_text([f"This object is {word}" for word in model.words])
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    visual = model.clip.model.visual
    with torch.no_grad():
        x = visual.stem((image - mean) / std)
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = layer(x)
        unit = (x / x.norm(dim=1, keepdim=True)).flatten(2).permute(0, 2, 1)
        halved = torch.nn.functional.interpolate(unit, scale_factor=0.5)  # over channels, as monoclip.py does
        wanted = halved.permute(0, 2, 1).unflatten(2, x.shape[2:])
        torch.testing.assert_close(model.embed(image), wanted, rtol=0, atol=1e-5)
    metres = loops(wanted[0].double(), model.texts.double(), DISTANCES, 0.1)
    np.testing.assert_allclose(model.depth(image)[0].numpy(), enlarged(metres, 64, 96), atol=2e-3)


def test_a_finer_map():
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    model = build(stride=4)
    assert model.probabilities(image).shape == (1, 7, 16, 24)
    assert model.depth(image).shape == (1, 64, 96)


def test_bins_equal_a_general_minimiser():
    rng = np.random.default_rng(0)
    start = torch.tensor([1.0, 1.5, 2.0, 3.0])
    pictures = [(rng.dirichlet(np.ones(4), 50), rng.uniform(0.5, 4, 50)) for _ in range(3)]
    fit = BinFit(start, shrink=0.5)
    for probabilities, truth in pictures:
        fit.add(torch.from_numpy(probabilities), torch.from_numpy(truth))

    def loss(steps):
        b = np.cumsum(steps)
        data = sum((((p @ b - t) / t) ** 2).mean() for p, t in pictures)
        return data + 0.5 * (((b - start.numpy()) / start.numpy()) ** 2).mean()

    best = minimize(loss, np.full(4, 0.5), bounds=[(0, None)] * 4, options=dict(ftol=1e-15, maxiter=1000))
    np.testing.assert_allclose(fit.solve().numpy(), np.cumsum(best.x), atol=1e-4)


def test_bins_never_fall_and_few_pictures_leave_them():
    start = torch.tensor(DISTANCES)
    fit = BinFit(start, shrink=1.0)
    torch.testing.assert_close(fit.solve(), start, rtol=0, atol=1e-5)  # no picture yet
    shares = torch.eye(7).repeat(10, 1)
    for _ in range(50):
        fit.add(shares, 4 - start.repeat(10))  # the reverse of what the words say
    assert (fit.solve().diff() >= -1e-6).all()
    fit = BinFit(start, shrink=1.0)
    for _ in range(1000):
        fit.add(shares, 2 * start.repeat(10))
    torch.testing.assert_close(fit.solve(), 2 * start, rtol=0.01, atol=0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (dict(words=["near"]), "1 words and bins"),
        (dict(words=["near", "far"], bins=[2.0, 1.0]), "rising"),
        (dict(words=["near", "far"], bins=[0.0, 1.0]), "more than 0"),
        (dict(template="an object"), "needs {}"),
        (dict(temperature=0.0), "temperature=0.0"),
        (dict(pool=-1), "pool=-1"),
        (dict(space="raw"), "known: dense, compat"),
    ],
)
def test_options_that_do_not_fit(options, said):
    with pytest.raises(ClipkitError) as found:
        build(**options)
    assert said in str(found.value) and "\n" not in str(found.value)


def test_compat_needs_a_resnet():
    with pytest.raises(ClipkitError, match="take space='dense', or RN50"):
        build(space="compat").depth(torch.rand(1, 3, 64, 64))
