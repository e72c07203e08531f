"""Frames and times are those that a player shows, from every backend: compared with the command ffmpeg on films of the
kinds that decoders disagree about; where ffmpeg is missing, with what it said when they were recorded."""

import base64
import json
import shutil
from fractions import Fraction

import numpy as np
import pytest

from clipkit.data import BackendMissing, Fps, Indices, Uniform, VideoError, probe_video, read_video, stream_video
from clipkit.errors import ClipkitError
from support.ffmpeg_films import RECIPES, RECORDED, make, quadrants, shown
from support.video_files import INSTALLED, steady, write_folder

pytest.importorskip("av", reason="PyAV tells what a player shows")


def compare(path, figures):
    expected = np.array(figures["quadrants"])
    times, count = np.array(figures["times"]), len(figures["quadrants"])
    some = (count - 1, 0, count // 2)
    for backend in INSTALLED:
        about = probe_video(path, backend=backend)
        assert about.frames == count and about.size == tuple(figures["size"]), backend
        assert times[-1] < about.duration < times[-1] + 0.21, backend
        found = read_video(path, Indices(tuple(range(count))), backend=backend)
        np.testing.assert_allclose(found.timestamps, times, atol=0.002, err_msg=backend)
        np.testing.assert_allclose(quadrants(found.frames), expected, atol=5, err_msg=backend)
        alone = read_video(path, Indices(some), backend=backend)
        np.testing.assert_allclose(quadrants(alone.frames), expected[list(some)], atol=5, err_msg=backend)


@pytest.mark.parametrize("name", RECIPES)
def test_films_are_read_as_ffmpeg_said_when_they_were_recorded(tmp_path, name):
    figures = json.loads(RECORDED.read_text())[name]
    path = tmp_path / name
    path.write_bytes(base64.b64decode(figures["file"]))
    compare(path, figures)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the command ffmpeg is not installed")
@pytest.mark.parametrize("name", RECIPES)
def test_films_made_anew_are_read_as_ffmpeg_shows_them(tmp_path, name):
    path = make(name, tmp_path)
    compare(path, shown(path))


def sparse(path, milliseconds):
    """A film of a picture at each of these times, as a recording of a screen."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        for number, time in enumerate(milliseconds):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("hours", [(0, 10), (0, 0.1, 10), (0, 9, 10)])
def test_pauses_of_hours_give_each_picture_once_and_end_with_the_last(tmp_path, hours):
    path = sparse(tmp_path / "slides.mkv", [int(3_600_000 * hour) for hour in hours])
    for backend in INSTALLED:
        about = probe_video(path, backend=backend)
        assert 36_000 < about.duration < 36_060, backend
        assert read_video(path, Fps(2), backend=backend).indices.tolist() == list(range(len(hours)))


@pytest.mark.parametrize("backend", INSTALLED)
def test_a_film_beyond_the_limits_is_one_line_that_names_the_variable(tmp_path, monkeypatch, backend):
    path = sparse(tmp_path / "slides.mkv", [0, 1000, 90_000_000])
    for read in (lambda: read_video(path, Fps(2), backend=backend), lambda: probe_video(path, backend=backend)):
        with pytest.raises(VideoError, match=r"slides\.mkv: lasts 90,0\d\d seconds, and CLIPKIT_FILM_SECONDS"):
            read()
    monkeypatch.setenv("CLIPKIT_FILM_SECONDS", "1e5")
    assert len(read_video(path, Fps(2), backend=backend)) == 3
    monkeypatch.setenv("CLIPKIT_FILM_FRAMES", "2")
    with pytest.raises(VideoError, match="has more than 2 frames, which CLIPKIT_FILM_FRAMES limits"):
        read_video(path, Fps(2), backend=backend)
    monkeypatch.setenv("CLIPKIT_FILM_FRAMES", "many")
    with pytest.raises(ClipkitError, match="CLIPKIT_FILM_FRAMES='many': must be a positive number"):
        read_video(path, Fps(2), backend=backend)


def test_the_frames_of_a_folder_have_the_same_limits(tmp_path, monkeypatch):
    monkeypatch.setenv("CLIPKIT_FILM_FRAMES", "3")
    folder = write_folder(tmp_path / "film", steady(Fraction(25), 4), False)
    with pytest.raises(VideoError, match="film: has more than 3 frames"):
        read_video(folder, Uniform(2))


def test_each_frame_is_chosen_once_and_the_ones_on_show_at_the_ticks():
    random = np.random.default_rng(0)
    for _ in range(300):
        times = np.cumsum(random.choice([0.04, 0.2, 3.0], random.integers(1, 40)))
        times, rate = times - times[0], random.choice([0.5, 2, 30])
        end = times[-1] + 0.04
        ticks = np.arange(max(1, np.ceil((end - 0.00077) * rate))) / rate
        on_show = sorted({max(int((times <= tick + 0.00077).sum()) - 1, 0) for tick in ticks})
        assert Fps(rate).choose(times, end).tolist() == on_show
    assert Fps(100).choose(np.array([0.0, 1e9]), 2e9).tolist() == [0, 1]  # without an array of all ticks


def test_without_pyav_nothing_is_guessed(videos_without_av):
    path, backend = videos_without_av
    with pytest.raises(BackendMissing, match="av is not installed, which tells what a film shows: pip install av"):
        read_video(path, Uniform(1), backend=backend)


@pytest.fixture
def videos_without_av(tmp_path, monkeypatch):
    from clipkit.data import video

    path = sparse(tmp_path / "slides.mkv", [0, 1000])
    found = video.find_spec
    monkeypatch.setattr(video, "find_spec", lambda name: None if name == "av" else found(name))
    return path, next(name for name in INSTALLED if name != "pyav")


def test_frames_that_do_not_fit_into_memory_are_refused_or_come_one_by_one(tmp_path, monkeypatch):
    from clipkit.data import video

    path = sparse(tmp_path / "slides.mkv", [0, 1000, 2000])
    monkeypatch.setattr(video.os, "sysconf", lambda name: 4 * 64 * 64 * 3 if name == "SC_PAGE_SIZE" else 1)
    with pytest.raises(VideoError, match="3 frames of 64x64 pixels take half of this machine's memory"):
        read_video(path, Indices((0, 1, 2)))
    assert [len(part) for part in stream_video(path, Indices((0, 1, 2)))] == [1, 1, 1]


def test_frames_beyond_any_cameras_size_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "huge.gif"
    path.write_bytes(b"GIF89a" + (16000).to_bytes(2, "little") * 2 + b"\x80\0\0" + bytes(6) + b"," + bytes(4)
        + (16000).to_bytes(2, "little") * 2 + b"\0\x02\x02D\x01\0;")  # fmt: skip
    for backend in INSTALLED:
        with pytest.raises(VideoError, match=r"huge\.gif: has frames of 16000x16000 pixels"):
            read_video(path, Uniform(1), backend=backend)
