"""Stored spectrograms: what was computed, windows that cover a sound, files known by their content."""

import numpy as np
import pytest
import torch

from clipkit.data.audio import AudioError, write_wave
from clipkit.embed.sounds import SoundFiles, embed_sounds, windows
from clipkit.errors import ClipkitError
from clipkit.nn import LogMel

FRONT = LogMel(rate=2000, window=128, hop=50, bands=8)
RANDOM = np.random.default_rng(0)


def test_windows_cover_a_sound():
    wave = np.arange(25)
    found = windows(wave, 10)
    assert found[:, 0].tolist() == [0, 8, 15] and found[-1, -1] == 24 and {*found.ravel()} == {*range(25)}
    assert windows(wave[:7], 10).tolist() == [[*range(7), 0, 0, 0]]
    assert windows(wave[:20], 10).shape == (2, 10)
    few = windows(np.arange(1000), 10, most=4)
    assert few[:, 0].tolist() == [0, 330, 660, 990]


def test_the_store_holds_what_the_spectrogram_gives(tmp_path):
    waves = [RANDOM.normal(size=n).astype(np.float32) * 0.1 for n in (1500, 4500, 2000)]
    for number, wave in enumerate(waves):
        write_wave(tmp_path / f"{number}.wav", wave, 2000)
    paths = [tmp_path / f"{n}.wav" for n in (0, 1, 2, 0)]
    sounds = SoundFiles(paths, 2000)
    found = embed_sounds(sounds, FRONT, 1.0, tmp_path / "store", progress=False)
    assert [len(found[i]) for i in range(4)] == [1, 3, 1, 1] and found.ids[0] == found.ids[3]
    for index in range(4):
        wanted = FRONT(torch.from_numpy(windows(sounds.read(index), 2000)))
        torch.testing.assert_close(found[index], wanted, rtol=0, atol=5e-3)  # float16
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.safetensors")}
    assert len(before) == 1
    embed_sounds(SoundFiles(paths[:2], 2000), FRONT, 1.0, tmp_path / "store", progress=False)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.safetensors")}
    write_wave(tmp_path / "0.wav", waves[2], 2000)  # another sound now
    again = embed_sounds(SoundFiles(paths[:1], 2000), FRONT, 1.0, tmp_path / "store", progress=False)
    assert again.ids[0] == found.ids[2]


def test_a_sound_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF" + bytes(50))
    with pytest.raises(ClipkitError, match=r"a\.wav: cannot be read"):
        embed_sounds(SoundFiles([tmp_path / "a.wav"], 2000), FRONT, 1.0, tmp_path / "store", progress=False)
    with pytest.raises(AudioError, match=r"b\.wav: cannot be opened"):
        SoundFiles([tmp_path / "b.wav"], 2000).identify(0)
    with pytest.raises(ClipkitError, match="no sounds"):
        embed_sounds(SoundFiles([], 2000), FRONT, 1.0, tmp_path / "store")
