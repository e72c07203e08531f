"""The spectrogram against float64 loops, and the small tower that reads it."""

import cmath
import math

import pytest
import torch

from clipkit.nn import LogMel, SoundTower


def loops(wave, rate, window, hop, bands, low):
    """The formula, a frame and a band at a time."""
    high = rate / 2
    mels = [2595 * math.log10(1 + f / 700) for f in (low, high)]
    edges = [700 * (10 ** ((mels[0] + (mels[1] - mels[0]) * i / (bands + 1)) / 2595) - 1) for i in range(bands + 2)]
    padded = [0.0] * (window // 2) + list(wave) + [0.0] * (window // 2)
    rows = []
    for frame in range(1 + len(wave) // hop):
        cut = padded[frame * hop : frame * hop + window]
        cut = [x * (0.5 - 0.5 * math.cos(2 * math.pi * n / window)) for n, x in enumerate(cut)]
        power = [
            abs(sum(x * cmath.exp(-2j * math.pi * k * n / window) for n, x in enumerate(cut))) ** 2
            for k in range(window // 2 + 1)
        ]
        row = []
        for a, b, c in zip(edges, edges[1:], edges[2:]):
            total = 0.0
            for k, p in enumerate(power):
                f = k * rate / window
                total += p * max(0.0, min((f - a) / (b - a), (c - f) / (c - b)))
            row.append(math.log10(max(total, 1e-10)))
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64).T


def test_log_mel_against_loops():
    torch.manual_seed(0)
    options = dict(rate=2000, window=64, hop=24, bands=6, low=50.0)
    waves = torch.randn(2, 150) * 0.1
    wanted = torch.stack([loops(wave.tolist(), *options.values()) for wave in waves])
    found = LogMel(**options, standardise=False)(waves)
    assert found.shape == (2, 6, 7)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=2e-5)
    standard = LogMel(**options)(waves)
    for own, raw in zip(standard.double(), wanted):
        torch.testing.assert_close(own, (raw - raw.mean()) / (raw.std(unbiased=False) + 1e-5), rtol=0, atol=2e-4)
    assert LogMel(**options)(torch.zeros(1, 150)).isfinite().all()  # silence


def test_too_many_bands_for_a_window_are_refused():
    with pytest.raises(ValueError, match="holds no frequency"):
        LogMel(rate=8000, window=128, bands=80)


def test_the_tower_hears_pitch_and_time():
    torch.manual_seed(0)
    tower, front = SoundTower(16).eval(), LogMel()
    time = torch.arange(8000) / 8000
    waves = torch.stack(
        [torch.sin(2 * math.pi * f * time) * (time < end) for f, end in ((200, 1), (800, 1), (200, 0.5))]
    )
    found = tower(front(waves))
    assert found.shape == (3, 16)
    assert min((found[0] - found[n]).abs().max() for n in (1, 2)) > 1e-3
    assert tower(front(waves[:, :1234])).shape == (3, 16)  # any length
    assert sum(p.numel() for p in SoundTower(128).parameters()) == 560_864


def test_the_tower_learns_from_its_gradient():
    torch.manual_seed(0)
    tower = SoundTower(4, channels=(4, 4, 4, 4), rows=2, hidden=8)
    tower(torch.randn(3, 20, 21)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in tower.parameters())
