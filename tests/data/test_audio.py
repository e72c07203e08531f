"""Sound: equal to the wave module's, exact in time, from films on their clock, and one line for whatever is wrong."""

import math
import wave

import av
import numpy as np
import pytest
import torch

from clipkit.data.audio import AudioError, read_audio, resample, write_wave
from clipkit.errors import ClipkitError
from clipkit.shapes.film_files import write_film
from support.video_files import write_sound

RANDOM = np.random.default_rng(0)
PICTURES = np.zeros((8, 32, 32, 3), np.uint8)


def tones(rate, seconds=1.0):
    """Two channels `(2, N)`, of 440 and 660 Hz that grow louder."""
    time = np.arange(round(rate * seconds)) / rate
    return np.stack([np.sin(2 * np.pi * f * time + f) * (0.1 + 0.8 * time / seconds) for f in (440, 660)])


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_as_the_wave_module_reads_it(tmp_path, width, channels):
    data = RANDOM.integers(0, 256, 500 * width * channels, dtype=np.uint8).tobytes()
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((channels, width, 11025, 0, "NONE", ""))
        file.writeframes(data)
    with wave.open(str(tmp_path / "a.wav"), "rb") as file:
        raw = file.readframes(500)
    numbers = [raw[i : i + width] for i in range(0, len(raw), width)]
    if width == 1:
        values = [(number[0] - 128) / 128 for number in numbers]
    else:
        values = [int.from_bytes(number, "little", signed=True) / 2 ** (8 * width - 1) for number in numbers]
    wanted = np.array(values).reshape(500, channels).T
    found = read_audio(tmp_path / "a.wav", mono=False)
    assert found.rate == 11025 and found.duration == 500 / 11025
    np.testing.assert_array_equal(found.samples, wanted.astype(np.float32))
    mean = read_audio(tmp_path / "a.wav").samples
    np.testing.assert_allclose(mean, wanted.mean(0, keepdims=True), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("old", "new"), [(44100, 8000), (8000, 44100), (22050, 16000), (1000, 1001)])
def test_resampled_samples_are_the_sound_at_their_times(old, new):
    def sound(time):
        return np.sin(2 * np.pi * 0.11 * min(old, new) * time + 0.3)

    found = resample(sound(np.arange(old // 4) / old)[None], old, new)
    assert found.shape == (1, math.ceil(old // 4 * new / old))
    middle = slice(found.shape[1] // 4, -found.shape[1] // 4)  # silence around is no sine
    wanted = sound(np.arange(found.shape[1]) / new)
    np.testing.assert_allclose(found[0, middle], wanted[middle], rtol=0, atol=2e-4)


def test_resampling_against_a_loop():
    samples = RANDOM.normal(size=(1, 40))
    cut, found = 0.94 * 2 / 3, resample(samples, 3000, 2000)
    for k, value in enumerate(found[0]):
        total = 0.0
        for n, sample in enumerate(samples[0]):
            away = n - k * 1.5
            if abs(away) * cut <= 24:
                kaiser = np.i0(9 * math.sqrt(1 - (away * cut / 24) ** 2)) / np.i0(9.0)
                total += sample * cut * np.sinc(cut * away) * kaiser
        assert value == pytest.approx(total, abs=1e-6)
    same = samples.astype(np.float32)
    np.testing.assert_array_equal(resample(same, 8000, 8000), same)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "least"),
    [("a.flac", "flac", 44100, 1.0), ("a.ogg", "libopus", 48000, 0.99), ("a.mp3", "libmp3lame", 44100, 0.99)],
)
def test_formats_begin_where_the_sound_does(tmp_path, name, codec, rate, least):
    samples = tones(rate)
    write_sound(tmp_path / name, samples, codec, rate, rate)
    found = read_audio(tmp_path / name, mono=False)
    assert found.rate == rate and found.samples.shape[1] >= rate
    for channel, wanted in zip(found.samples, samples):
        likeness = np.corrcoef(channel[: len(wanted)], wanted)[0, 1]
        assert likeness > least - 1e-6


def test_a_films_sound_is_the_sound_that_was_written(tmp_path):
    sound = (tones(8000)[0] * 2**15).astype(np.int16) / 2**15
    write_film(PICTURES, tmp_path / "a.mkv", sound=torch.from_numpy(sound), sound_rate=8000)
    found = read_audio(tmp_path / "a.mkv")
    np.testing.assert_array_equal(found.samples[0], sound.astype(np.float32))
    part = read_audio(tmp_path / "a.mkv", start=0.25, seconds=0.5)
    np.testing.assert_array_equal(part.samples, found.samples[:, 2000:6000])
    half = read_audio(tmp_path / "a.mkv", 4000, start=0.5)
    np.testing.assert_array_equal(half.samples, resample(found.samples[:, 4000:], 8000, 4000))


def test_a_sound_that_was_cut_short_or_damaged_goes_on_around_it(tmp_path):
    samples = tones(8000, 2.0)
    write_sound(tmp_path / "whole.flac", samples, "flac", 8000)
    whole = read_audio(tmp_path / "whole.flac", mono=False).samples
    data = bytearray((tmp_path / "whole.flac").read_bytes())
    (tmp_path / "cut.flac").write_bytes(data[: len(data) // 2])
    cut = read_audio(tmp_path / "cut.flac", mono=False).samples
    assert 0 < cut.shape[1] < whole.shape[1]
    np.testing.assert_array_equal(cut, whole[:, : cut.shape[1]])


def late(path, seconds, pause=0.0):
    """A film whose sound, half a second of ones, begins late, and stops once for `pause`."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=8)
        video.width = video.height = 32
        video.pix_fmt = "bgr0"
        track = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for picture in PICTURES:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        for n in range(2):
            frame = av.AudioFrame.from_ndarray(np.full((1, 2000), 2**14, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, round(8000 * (seconds + n * (0.25 + pause)))
            container.mux(track.encode(frame))
        container.mux(track.encode())


def test_sound_lies_on_the_films_clock(tmp_path):
    late(tmp_path / "a.mkv", 0.5, 0.125)
    found = read_audio(tmp_path / "a.mkv").samples[0]
    wanted = np.repeat([0, 0.5, 0, 0.5], [4000, 2000, 1000, 2000]).astype(np.float32)
    np.testing.assert_array_equal(found, wanted)
    late(tmp_path / "jump.mkv", 0.0, 60.0)  # another clock: no minute of silence
    assert read_audio(tmp_path / "jump.mkv").samples.shape == (1, 4000)


def test_what_cannot_be_read_is_one_line(tmp_path, monkeypatch):
    write_film(PICTURES, tmp_path / "silent.mkv")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "list.mp3").write_text("#EXTM3U\nfile:///etc/passwd\n")
    (tmp_path / "broken.wav").write_bytes(b"RIFF" + bytes(100))
    write_wave(tmp_path / "good.wav", np.zeros(8000), 8000)
    header = bytearray((tmp_path / "good.wav").read_bytes())
    header[24:28] = (2**31 - 1).to_bytes(4, "little")
    (tmp_path / "fast.wav").write_bytes(header)
    for name, line in {
        "silent.mkv": "holds no sound",
        "empty.wav": "is empty",
        "list.mp3": "is a text or a playlist",
        "broken.wav": "cannot be read",
        "none.wav": "no such file",
        "fast.wav": "samples a second",
    }.items():
        with pytest.raises(AudioError, match=f"{name}: .*{line}") as caught:
            read_audio(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(AudioError, match="has no sound from second 3 on"):
        read_audio(tmp_path / "good.wav", start=3)
    monkeypatch.setenv("CLIPKIT_FILM_SECONDS", "0.5")
    with pytest.raises(ClipkitError, match="CLIPKIT_FILM_SECONDS limits"):
        read_audio(tmp_path / "good.wav")
    with pytest.raises(ValueError, match="rate is"):
        read_audio(tmp_path / "good.wav", 10)
    with pytest.raises(ValueError, match="not negative"):
        read_audio(tmp_path / "good.wav", start=-1)


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    frame = av.AudioFrame.from_ndarray(np.full((1, 100), np.nan, np.float32), format="flt", layout="mono")
    frame.sample_rate = 8000
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=8000, layout="mono")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(AudioError, match="no numbers"):
        read_audio(tmp_path / "a.wav")


def test_what_is_too_loud_is_cut(tmp_path):
    write_wave(tmp_path / "a.wav", np.array([[2.0, -2.0, 0.5]]), 8000)
    found = read_audio(tmp_path / "a.wav").samples[0]
    np.testing.assert_array_equal(found, np.array([1 - 2**-15, -1, 0.5], np.float32))


def test_sound_that_fills_the_memory_is_refused(tmp_path, monkeypatch):
    write_wave(tmp_path / "a.wav", np.zeros((2, 8000)), 8000)
    monkeypatch.setattr("clipkit.data.audio._room", lambda: 8 * 7999)
    with pytest.raises(AudioError, match="an eighth of this machine's memory"):
        read_audio(tmp_path / "a.wav")
    assert read_audio(tmp_path / "a.wav", seconds=0.5).samples.shape == (1, 4000)  # the reader is fit for the next
