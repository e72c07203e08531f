"""ESResNeXt's parts against float64 loops: filters, frames, bands, gates; and what the whole does with them."""

import cmath
import math

import pytest
import torch
from torch import nn

from clipkit.nn import ESResNeXt, FilterBank, TimeFrequencyGate
from support.closed_form import closed_form_

SMALL = dict(length=48, window=40, hop=11, layers=(1, 1, 1, 1))


@pytest.fixture
def bank():
    torch.manual_seed(0)
    bank = FilterBank(5).double()
    with torch.no_grad():
        bank.m.copy_(torch.tensor([0.0, 0.5, 1.0, 2.0, 3.3]))
        bank.fb.copy_(torch.tensor([1.0, 2.1, 1.5, 3.0, 4.0]))
    return bank


def filters(bank, length):
    rows = []
    for m, fb, fc in zip(bank.m.tolist(), bank.fb.tolist(), bank.fc.tolist()):
        row = []
        for n in range(length):
            t = math.pi * (-1 + 2 * n / (length - 1)) + 1e-8
            x = fb * t / (m + 1e-8)
            sinc = math.sin(x) / x if x else 1.0
            row.append(math.sqrt(fb / length) * complex(sinc) ** m * cmath.exp(-1j * fc * t))
        rows.append(row)
    return rows


def test_filters_against_loops(bank):
    wanted = filters(bank, 21)
    real, imaginary = (part.detach() for part in bank.filters(21))
    for k in range(5):
        for n in range(21):
            assert complex(real[k, n], imaginary[k, n]) == pytest.approx(wanted[k][n], abs=1e-9)
    frames = torch.randn(3, 21, dtype=torch.float64)
    for row, power in zip(frames.tolist(), bank(frames).tolist()):
        for own, value in zip(wanted, power):
            assert value == pytest.approx(abs(sum(x * w for x, w in zip(row, own))) ** 2, rel=1e-8)
    norms = [math.sqrt(sum(abs(w) ** 2 for w in own)) for own in wanted]
    assert bank.norm_loss(21).item() == pytest.approx(sum((n - 1) ** 2 for n in norms) / 5, rel=1e-8)


def test_filters_begin_as_a_fourier_transform():
    bank = FilterBank(1025)
    real, imaginary = bank.filters(2048)
    assert bank.norm_loss(2048).item() < 1e-10
    t = torch.linspace(-1, 1, 2048, dtype=torch.float64) * math.pi
    torch.testing.assert_close(real[7].double(), (7 * t).cos() / 2048**0.5, rtol=0, atol=1e-6)
    torch.testing.assert_close(imaginary[7].double(), -(7 * t).sin() / 2048**0.5, rtol=0, atol=1e-6)


def test_gradients_are_those_of_finite_differences_divided_by_their_largest(bank):
    frames = torch.randn(2, 21, dtype=torch.float64)
    bank(frames).square().sum().backward()
    for name, parameter in bank.named_parameters():
        slopes = []
        for k in range(1, 5):  # at m = 0 a step divides by nothing
            values = []
            for step in (1e-6, -1e-6):
                with torch.no_grad():
                    parameter[k] += step
                    values.append(float(bank(frames).square().sum()))
                    parameter[k] -= step
            slopes.append((values[0] - values[1]) / 2e-6)
        found = parameter.grad
        assert found.abs().max() == pytest.approx(1.0, abs=1e-6), name
        ratio = torch.tensor(slopes, dtype=torch.float64) / found[1:]
        torch.testing.assert_close(ratio, ratio[:1].expand(4), rtol=1e-3, atol=0)


def test_spectrogram_against_loops():
    torch.manual_seed(0)
    tower = ESResNeXt(8, **SMALL).double()
    tower.window = tower.window.double()
    wave = torch.randn(1, 95, dtype=torch.float64) * 0.1
    found = tower.spectrogram(wave)[0]
    window = [
        0.35875 - 0.48829 * math.cos(a) + 0.14128 * math.cos(2 * a) - 0.01168 * math.cos(3 * a)
        for a in (2 * math.pi * n / 40 for n in range(40))
    ]
    samples = [(65536 * x + 1) / 65535 for x in wave[0].tolist()]
    count = 1 + math.ceil((95 - 40) / 11)
    missing = (count - 1) * 11 + 40 - 95
    padded = [0.0] * (missing // 2) + samples + [0.0] * (missing - missing // 2)
    bank = filters(tower.fbsp, 48)
    assert found.shape == (3, 8, count)  # 25 filters: the last is left over
    for frame in range(count):
        cut = [0.0] * 4 + [x * w for x, w in zip(padded[frame * 11 :], window)] + [0.0] * 4
        for k in range(24):
            power = abs(sum(x * w for x, w in zip(cut, bank[k]))) ** 2
            assert found[k // 8, k % 8, frame].item() == pytest.approx(10 * math.log10(power), abs=1e-4)
    silent = tower.spectrogram(torch.full((1, 95), -1 / 65536, dtype=torch.float64))
    assert silent.unique().tolist() == [-180.0]


def test_gate_against_loops():
    torch.manual_seed(0)
    gate = closed_form_(TimeFrequencyGate(2, 3, (3, 1))).double().eval()
    x = torch.randn(1, 2, 4, 6, dtype=torch.float64)
    found = gate(x, (2, 3))[0]
    pooled = [
        [[float(x[0, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max()) for j in range(3)] for i in range(2)]
        for c in (0, 1)
    ]
    depth = gate.conv_depth.weight[:, 0, :, 0].tolist()
    for out in range(3):
        for i in range(2):
            for j in range(3):
                total = gate.conv_point.bias[out].item()
                for c in range(2):
                    own = gate.conv_depth.bias[c].item()
                    own += sum(depth[c][d] * pooled[c][i + d - 1][j] for d in range(3) if 0 <= i + d - 1 < 2)
                    total += float(gate.conv_point.weight[out, c]) * own
                bn = gate.bn
                total = (total - float(bn.running_mean[out])) / math.sqrt(float(bn.running_var[out]) + bn.eps)
                total = total * float(bn.weight[out]) + float(bn.bias[out])
                assert found[out, i, j].item() == pytest.approx(1 / (1 + math.exp(-total)), abs=1e-9)


@torch.no_grad()
def test_channels_are_summed_before_the_last_layer():
    torch.manual_seed(0)
    tower = ESResNeXt(8, **SMALL).eval()
    waves = torch.randn(2, 2, 400) * 0.1
    both = tower(waves)
    left, right = (tower(waves[:, n]) for n in (0, 1))
    torch.testing.assert_close(both, left + right - tower.fc.bias, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_stages_are_gated_by_what_goes_in():
    torch.manual_seed(0)
    tower = ESResNeXt(8, **SMALL).eval()
    seen = {}
    for name in ("maxpool", "layer1", "layer2", "att1", "att2", "att5", "fc"):
        getattr(tower, name).register_forward_hook(lambda m, a, y, name=name: seen.update({name: (a, y)}))
    tower(torch.randn(1, 400) * 0.1)
    first = seen["layer1"][1] * seen["att1"][1]
    assert torch.equal(seen["att1"][0][0], seen["maxpool"][1])
    assert torch.equal(seen["layer2"][0][0], first) and torch.equal(seen["att2"][0][0], first)
    last = seen["att5"][0][0]
    torch.testing.assert_close(seen["fc"][0][0], last.mean((2, 3)) * seen["att5"][1][:, :, 0, 0])


def test_the_original_has_these_weights():
    with torch.device("meta"):
        tower = ESResNeXt(1024)
    shapes = {key: tuple(value.shape) for key, value in tower.state_dict().items()}
    assert shapes["window"] == (1654,) and shapes["fbsp.m"] == shapes["fbsp.fc"] == (1025,)
    assert shapes["layer3.5.conv2.weight"] == (512, 16, 3, 3) and shapes["fc.weight"] == (1024, 2048)
    assert shapes["att4.conv_depth.weight"] == (1024, 1, 1, 5) and shapes["att5.conv_point.weight"] == (
        2048,
        2048,
        1,
        1,
    )
    assert sum(isinstance(module, nn.Conv2d) for module in tower.modules()) == 53 + 10
