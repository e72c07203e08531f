"""Every fusion mode against float64 loops over places; the identity at the start; sizes and layers."""

import math

import pytest
import torch
import torch.nn.functional as F

from clipkit.adapters import Fusion
from clipkit.adapters.fusion import MODES
from support.closed_form import closed_form_


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def linear(conv, vector):
    """A 1x1 convolution at one place."""
    weight = conv.weight.reshape(conv.out_channels, -1).tolist()
    return [sum(w * v for w, v in zip(row, vector)) + b for row, b in zip(weight, conv.bias.tolist())]


def sigmoid(v):
    return 1 / (1 + math.exp(-v))


def unit(vector):
    norm = math.sqrt(sum(v * v for v in vector))
    return [v / norm for v in vector]


def oracle(fusion, host, layers):
    """Host and every layer (B, D, H, W) on one grid: no resizing in here."""
    out = torch.empty_like(host)
    batch, _, height, width = host.shape
    for b in range(batch):
        places = [(y, x) for y in range(height) for x in range(width)]
        keys = [
            linear(project, unit(layer[b, :, y, x].tolist()))
            for project, layer in zip(fusion.project, layers)
            for y, x in places
        ]
        for n, (y, x) in enumerate(places):
            h = host[b, :, y, x].tolist()
            c = [sum(parts) for parts in zip(*keys[n :: len(places)])]
            if fusion.mode == "add":
                out_vector = [p + q for p, q in zip(h, c)]
            elif fusion.mode == "multiply":
                out_vector = [p * (1 + q) for p, q in zip(h, c)]
            elif fusion.mode == "concatenate":
                out_vector = linear(fusion.mix, h + c)
            elif fusion.mode == "gate":
                gates = [sigmoid(v) for v in linear(fusion.gate, h + c)]
                out_vector = [p + a * g * q for p, a, g, q in zip(h, fusion.amount.tolist(), gates, c)]
            elif fusion.mode == "film":
                pairs = zip(h, linear(fusion.gamma, c), linear(fusion.beta, c))
                out_vector = [(1 + gamma) * p + beta for p, gamma, beta in pairs]
            else:
                mean = sum(h) / len(h)
                spread = math.sqrt(sum((v - mean) ** 2 for v in h) / len(h) + 1e-5)
                normed = [(v - mean) / spread for v in h]
                normed = [v * w + a for v, w, a in zip(normed, fusion.norm.weight.tolist(), fusion.norm.bias.tolist())]
                q = linear(fusion.query, normed)
                ks, vs = [linear(fusion.key, k) for k in keys], [linear(fusion.value, k) for k in keys]
                size = len(q) // fusion.heads
                mixed = []
                for head in range(fusion.heads):
                    part = slice(head * size, (head + 1) * size)
                    scores = [math.exp(sum(p * r for p, r in zip(q[part], k[part])) / math.sqrt(size)) for k in ks]
                    total = sum(scores)
                    mixed += [sum(s / total * v for s, v in zip(scores, values)) for values in list(zip(*vs))[part]]
                out_vector = [p + v for p, v in zip(h, linear(fusion.out, mixed))]
            out[b, :, y, x] = torch.tensor(out_vector, dtype=torch.float64)
    return out


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layers", [(5,), (5, 3)], ids=["one layer", "two layers"])
def test_modes_equal_loops(mode, layers):
    fusion = closed_form_(Fusion(8, layers, mode, heads=2).double(), scale=0.5)
    host, clip = randn(2, 8, 2, 3), [randn(2, d, 2, 3, seed=n + 1) for n, d in enumerate(layers)]
    expected = oracle(fusion, host, clip)
    torch.testing.assert_close(fusion(host, clip), expected, rtol=0, atol=1e-12)
    assert (expected - host).abs().max() > 1e-2


@pytest.mark.parametrize("mode", MODES)
def test_identity_at_start_bit_for_bit_and_awake_to_gradients(mode):
    torch.manual_seed(0)
    fusion = Fusion(8, 5, mode)
    host, clip = randn(2, 8, 9, 6, dtype=torch.float32), randn(2, 5, 4, 4, seed=1, dtype=torch.float32)
    out = fusion(host, clip)
    assert torch.equal(out, host)
    optimizer = torch.optim.SGD(fusion.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (fusion(host, clip) - 1).square().mean().backward()
        optimizer.step()
    for name, parameter in fusion.named_parameters():
        # A constant added to all keys shifts all scores alike: the key's bias cannot matter.
        assert name == "key.bias" or parameter.grad.abs().max() > 0, name
    assert not torch.equal(fusion(host, clip), host)


@pytest.mark.parametrize("mode", MODES)
def test_without_zero_init_the_features_are_seen_at_once(mode):
    torch.manual_seed(0)
    fusion = Fusion(8, 5, mode, zero_init=False)
    assert (fusion(randn(1, 8, 4, 4).float(), randn(1, 5, 4, 4, seed=1).float()) - randn(1, 8, 4, 4).float()).any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("grid", [(1, 1), (3, 5), (16, 24), (7, 2)])
def test_any_stride(mode, grid):
    """Projected and then resized equals resized and then projected (no normalisation between)."""
    fusion = closed_form_(Fusion(8, 5, mode, normalize=False).double(), scale=0.5)
    host, clip = randn(2, 8, 8, 12), randn(2, 5, *grid, seed=1)
    out = fusion(host, clip)
    assert out.shape == host.shape
    if mode != "cross_attention":
        resized = F.interpolate(clip, size=(8, 12), mode="bilinear", antialias=True)
        torch.testing.assert_close(out, fusion(host, resized), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_a_global_embedding_is_the_same_at_every_place(mode):
    fusion = closed_form_(Fusion(8, 5, mode).double(), scale=0.5)
    host, embedding = randn(2, 8, 3, 4), randn(2, 5, seed=1)
    spread = embedding[:, :, None, None].expand(-1, -1, 3, 4)
    torch.testing.assert_close(fusion(host, embedding), fusion(host, spread), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_padding_is_left_alone_and_changes_nothing(mode):
    fusion = closed_form_(Fusion(8, 5, mode).double(), scale=0.5)
    host, clip = randn(2, 8, 6, 7), randn(2, 5, 3, 3, seed=1)
    out = fusion(host, clip, valid=(4, 5))
    torch.testing.assert_close(out[..., :4, :5], fusion(host[..., :4, :5], clip))
    assert torch.equal(out[..., 4:, :], host[..., 4:, :]) and torch.equal(out[..., :, 5:], host[..., :, 5:])
    assert torch.equal(fusion(host, clip, valid=(6, 7)), fusion(host, clip))


@pytest.mark.parametrize("mode", ["concatenate", "film", "cross_attention"])
def test_a_free_width(mode):
    fusion = Fusion(6, 5, mode, hidden=16)
    assert fusion.project[0].out_channels == 16
    host = randn(1, 6, 4, 4).float()
    assert torch.equal(fusion(host, randn(1, 5).float()), host)


def test_scale_of_the_tower_does_not_matter_when_normalised():
    fusion = closed_form_(Fusion(8, 5).double())
    host, clip = randn(1, 8, 4, 4), randn(1, 5, 4, 4, seed=1)
    torch.testing.assert_close(fusion(host, 100 * clip), fusion(host, clip))
    fusion.normalize = False
    assert (fusion(host, 100 * clip) - fusion(host, clip)).abs().max() > 1e-2


def test_half_precision_features_join_a_float32_host():
    fusion = closed_form_(Fusion(8, 5))
    out = fusion(randn(1, 8, 4, 4).float(), randn(1, 5, 4, 4, seed=1).bfloat16())
    assert out.dtype == torch.float32


@pytest.mark.parametrize("size", [(3, 3), (9, 9)])
@pytest.mark.parametrize("mode", MODES)
def test_bf16_autocast_on_a_cpu(mode, size):
    fusion = closed_form_(Fusion(8, 5, mode))
    host, clip = randn(1, 8, *size).float(), randn(1, 5, 6, 6, seed=1).float()
    expected = fusion(host, clip)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(fusion(host, clip).float(), expected, rtol=0.02, atol=0.02)


def test_wrong_inputs_are_refused():
    with pytest.raises(ValueError, match="fusion mode"):
        Fusion(8, 5, "concat")
    with pytest.raises(ValueError, match="heads"):
        Fusion(6, 5, "cross_attention")
    with pytest.raises(ValueError, match="2 CLIP layers"):
        Fusion(8, (5, 5))(randn(1, 8, 2, 2), randn(1, 5))
    with pytest.raises(ValueError, match="expected CLIP features"):
        Fusion(8, 5)(randn(1, 8, 2, 2), randn(1, 6))
