"""What scenes sound like: each property of an object is where the table says, and in a film's file too."""

import math

import numpy as np
import pytest
import torch

from clipkit.data import Uniform, read_video
from clipkit.data.audio import read_audio
from clipkit.shapes import COLOURS, SHAPES, STUFF, TEXTURES, render, write_film
from clipkit.shapes.sounds import HARMONICS, PITCHES, RHYTHMS, TREMBLING, render_sounds


@pytest.fixture(scope="module")
def scene():
    """One scene whose properties tests set."""
    return render(1, seed=3, objects=(1, 1), split=None)


def sound(scene, rate=8000, seconds=1.0, **properties):
    """(N,) of the scene with an object of these properties, a radius in scene sides."""
    kinds = {"shape": SHAPES, "colour": COLOURS, "texture": TEXTURES}
    for name, value in properties.items():
        if name == "radius":
            scene.radius[:] = value * scene.images.shape[-1]
        elif name == "stuff":
            scene.stuff[:] = STUFF.index(value)
        else:
            getattr(scene, name)[:] = kinds[name].index(value)
    return render_sounds(scene, rate=rate, seconds=seconds)[0].double()


def share(power, hertz, low, high):
    return float(power[(hertz >= low) & (hertz < high)].sum() / power.sum())


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_heard_in_its_harmonics(scene, name):
    wave = sound(scene, seconds=2.0, shape=name, texture="plain", radius=0.14, stuff="water", colour="red")
    power = torch.fft.rfft(wave * torch.hann_window(len(wave), dtype=torch.float64)).abs().square()
    hertz = torch.fft.rfftfreq(len(wave), 1 / 8000)
    band = [
        float(power[(hertz - 440 * (k + 1)).abs() < 12].sum() / power.sum()) for k in range(9)
    ]  # the tenth is beyond 4 kHz
    sounding = [value for value, c in zip(band, HARMONICS[name]) if c == "1"]
    silent = [value for value, c in zip(band, HARMONICS[name]) if c == "0"]
    assert min(sounding) > 10 * max(silent, default=0)


def test_spectra_differ_by_four_harmonics():
    codes = list(HARMONICS.values())
    assert all(code[0] == "1" and len(code) == 10 for code in codes)  # pitch is where the first one is
    apart = [sum(a != b for a, b in zip(x, y)) for i, x in enumerate(codes) for y in codes[:i]]
    assert min(apart) >= 4 and len(codes) == 12 and tuple(HARMONICS) == SHAPES


@pytest.mark.parametrize(("radius", "pitch"), [(0.14, PITCHES[0]), (0.235, 220.0), (0.33, PITCHES[1])])
def test_size_is_pitch(scene, radius, pitch):
    wave = sound(scene, seconds=2.0, shape="circle", texture="plain", stuff="cloud", radius=radius)
    power = torch.fft.rfft(wave * torch.hann_window(len(wave), dtype=torch.float64)).abs()
    assert float(power.argmax()) / 2 == pytest.approx(pitch, abs=1.5)


@pytest.mark.parametrize("index", range(len(COLOURS)))
def test_colour_is_trembling(scene, index):
    wave = sound(scene, seconds=4.0, colour=COLOURS[index], shape="circle", texture="plain", stuff="sand", radius=0.14)
    loudness = wave.square()
    slow = torch.fft.rfft(loudness - loudness.mean()).abs()
    slow[30 * 4 :] = 0
    speed = TREMBLING[0] + (TREMBLING[1] - TREMBLING[0]) * index / 7
    assert float(slow.argmax()) / 4 == pytest.approx(speed, abs=0.3)


@pytest.mark.parametrize("name", TEXTURES)
def test_texture_is_rhythm(scene, name):
    wave = sound(scene, rate=8000, seconds=8.0, texture=name, shape="star", colour="white", stuff="sand", radius=0.14)
    loud = wave.square().unflatten(0, (32, -1)).mean(1).sqrt()  # four of a beat: its begin is drawn
    beats = [float(c) for c in RHYTHMS[name] for _ in range(4)]
    best = max(np.corrcoef(np.roll(loud, n), beats)[0, 1] for n in range(32)) if name != "plain" else 1.0
    assert best > 0.9
    if name == "plain":
        assert loud.min() > 0.5 * loud.max()


@pytest.mark.parametrize(
    ("name", "low", "high"), [("brick", 200, 900), ("wood", 900, 2200), ("cloud", 2500, 4001), ("water", 0, 300)]
)
def test_ground_is_the_colour_of_the_noise(scene, name, low, high):
    tone = dict(shape="circle", texture="plain", radius=0.33, colour="red")
    waves = [sound(scene, stuff=own, **tone) for own in (name, "sand")]
    shares = []
    for wave in waves:
        power = torch.fft.rfft(wave).abs().square()
        hertz = torch.fft.rfftfreq(len(wave), 1 / 8000)
        power[(hertz - 110).abs() < 25] = 0  # the tone
        shares.append(share(power, hertz, low, high))
    assert shares[0] > 0.6 and shares[0] > 1.5 * shares[1]


def test_noise_is_twelve_decibels_below(scene):
    wave = sound(scene, seconds=4.0, shape="circle", texture="plain", radius=0.14, stuff="sand", colour="red")
    power = torch.fft.rfft(wave * torch.hann_window(len(wave), dtype=torch.float64)).abs().square()
    hertz = torch.fft.rfftfreq(len(wave), 1 / 8000)
    tone = share(power, hertz, 420, 460)
    assert 10 * math.log10(tone / (1 - tone)) == pytest.approx(12, abs=0.8)


def test_equal_arguments_give_equal_sounds():
    scenes = render(6, seed=9, objects=(1, 3))
    first = render_sounds(scenes)
    assert torch.equal(first, render_sounds(scenes)) and first.shape == (6, 8000)
    assert first.abs().amax(1).allclose(torch.tensor(0.5)) and not torch.equal(first, render_sounds(scenes, seed=1))


def test_a_film_keeps_sound_and_picture(tmp_path, scene):
    wave = render_sounds(scene)[0]
    write_film(scene.images.expand(8, -1, -1, -1), tmp_path / "a.mkv", sound=wave, sound_rate=8000)
    found = read_audio(tmp_path / "a.mkv")
    assert found.rate == 8000 and np.abs(found.samples[0] - wave.numpy()).max() <= 0.5 / 2**15
    seen = read_video(tmp_path / "a.mkv", Uniform(2)).frames
    assert np.array_equal(seen[0], (scene.images[0] * 255).round().byte().movedim(0, -1).numpy())
