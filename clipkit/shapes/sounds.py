"""What the scenes of the embedded world sound like: each property of an object is one property of its tone.

shape    which of ten harmonics sound (12)        texture  a rhythm of eight beats (4)
size     pitch, 440 Hz for the smallest to 110    ground   the colour of the noise (6), 12 dB below the tones
colour   how fast the loudness trembles, 2 to 16 times a second (8)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clipkit.shapes._words import COLOURS, SHAPES, STUFF, TEXTURES
from clipkit.shapes.render import Scenes

RATE = 8000
HARMONICS = {
    "circle": "1000000000",
    "square": "1001011010",
    "triangle": "1001100110",
    "star": "1001101001",
    "cross": "1010010110",
    "ring": "1010011001",
    "heart": "1010100101",
    "crescent": "1010101010",
    "arrow": "1011000011",
    "bar": "1011001100",
    "hourglass": "1011110000",
    "dome": "1011111111",
}  # each two differ in at least four
RHYTHMS = {"plain": "11111111", "striped": "10101010", "dotted": "10001000", "checked": "11011100"}
PITCHES = (440.0, 110.0)  # of the radii below, in scene sides
RADII = (0.14, 0.33)
TREMBLING = (2.0, 16.0)  # times a second, of the first colour and of the last
_SNR = 12.0  # dB
_DEPTH, _REST = 0.9, 0.25  # of the trembling; loudness between beats
_SEED = 104_729  # sounds are drawn apart from their scenes


def render_sounds(scenes: Scenes, seed: int = 0, rate: int = RATE, seconds: float = 1.0) -> Tensor:
    """What `B` scenes sound like, `(B, rate · seconds)` float32 in ±1: the tones of their objects over the noise of
    their ground. Equal arguments give equal sounds; phases and noise are drawn from `seed` and the scenes' own.
    """
    g = torch.Generator().manual_seed(scenes.seed + seed + _SEED)
    radius = scenes.radius.cpu() / scenes.images.shape[-1]
    batch, objects = radius.shape
    tones = torch.zeros(batch, round(rate * seconds))
    for n in range(objects):
        phase = torch.rand(batch, 3, generator=g)
        shape, colour, texture = (part[:, n].cpu() for part in (scenes.shape, scenes.colour, scenes.texture))
        tones += scenes.present[:, n, None].cpu() * _tone(shape, colour, texture, radius[:, n], phase, rate, seconds)
    noise = _noise(scenes.stuff.cpu(), tones.shape[1], rate, g)
    loudness = tones.square().mean(1, keepdim=True).sqrt().clamp(min=1e-3)
    wave = tones + noise * loudness * 10 ** (-_SNR / 20)
    return 0.5 * wave / wave.abs().amax(1, keepdim=True).clamp(min=1e-6)


def _tone(
    shape: Tensor, colour: Tensor, texture: Tensor, radius: Tensor, phase: Tensor, rate: int, seconds: float
) -> Tensor:
    """(B, N) one object each: harmonics of its pitch, trembling, in its rhythm."""
    time = torch.arange(round(rate * seconds)) / rate
    table = torch.tensor([[float(c) for c in HARMONICS[name]] for name in SHAPES])
    strength = table / table.sum(1, keepdim=True).sqrt()
    share = ((radius - RADII[0]) / (RADII[1] - RADII[0])).clamp(0, 1)
    pitch = PITCHES[0] * (PITCHES[1] / PITCHES[0]) ** share
    turns = pitch[:, None] * time + phase[:, :1]
    wave = torch.zeros_like(turns)
    for k in range(table.shape[1]):
        heard = (k + 1) * pitch < 0.5 * rate  # above that, samples would tell of another tone
        wave += (strength[shape, k] * heard)[:, None] * torch.sin(2 * math.pi * (k + 1) * turns)
    speed = TREMBLING[0] + (TREMBLING[1] - TREMBLING[0]) * colour / (len(COLOURS) - 1)
    wave *= 1 - _DEPTH * (0.5 + 0.5 * torch.sin(2 * math.pi * (speed[:, None] * time + phase[:, 1:2])))
    beats = torch.tensor([[max(float(c), _REST) for c in RHYTHMS[name]] for name in TEXTURES])
    place = ((time / seconds + phase[:, 2:]) % 1 * beats.shape[1]).long()
    return wave * beats[texture].gather(1, place)


def _noise(stuff: Tensor, length: int, rate: int, g: torch.Generator) -> Tensor:
    """(B, N) of power 1: the mean of a scene's two grounds."""
    spectrum = torch.fft.rfft(torch.randn(len(stuff), length, generator=g))
    hertz = torch.fft.rfftfreq(length, 1 / rate).clamp(min=20)
    gains = {
        "grass": hertz**-0.5,
        "brick": torch.exp(-(((hertz - 500) / 200) ** 2)),
        "water": hertz**-1.0,
        "sand": torch.ones_like(hertz),
        "wood": torch.exp(-(((hertz - 1500) / 300) ** 2)),
        "cloud": hertz,
    }
    power = torch.stack([gains[name] for name in STUFF]).square()
    power = power / power.mean(1, keepdim=True)
    noise = torch.fft.irfft(spectrum * power[stuff].mean(1).sqrt(), length)
    return noise / noise.square().mean(1, keepdim=True).sqrt()
