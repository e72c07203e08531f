"""Reading videos: equal frames and times from every backend, and one line for a file that cannot be read."""

import os
from fractions import Fraction

import numpy as np
import pytest

from clipkit.data import (
    BackendMissing,
    Fps,
    Indices,
    Segments,
    Uniform,
    VideoError,
    probe_video,
    read_video,
    stream_video,
)
from clipkit.data._video_backends import BACKENDS
from support.video_files import (
    HEIGHT,
    INSTALLED,
    RATES,
    WIDTH,
    number_of,
    numbered,
    steady,
    variable,
    write_folder,
    write_video,
)

pytest.importorskip("av", reason="the test videos are written with PyAV")
COUNT = 75
CLOCKS = [*RATES, "variable"]


def times_of(clock):
    return variable(COUNT) if clock == "variable" else steady(RATES[clock], COUNT)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    for clock in CLOCKS:
        write_video(root / f"{clock}.mp4", times_of(clock))
        write_folder(root / f"{clock}", times_of(clock), clock == "variable")
    write_video(root / "film.mkv", times_of("23.976"))
    return root


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("backend", [*INSTALLED, "folder"])
def test_indices_and_timestamps_are_those_that_were_written(videos, backend, clock):
    truth = np.array([float(t) for t in times_of(clock)])
    folder = backend == "folder"
    options = {"folder_fps": float(RATES.get(clock, 25))} if folder else {"backend": backend}
    path = videos / (clock if folder else f"{clock}.mp4")
    half = np.diff(truth).min() / 2
    found = {s: read_video(path, s, **options) for s in (Fps(2), Uniform(8), Segments(5), Segments(5, jitter=3))}
    found[Indices((40, 3, 3, 74, 0))] = backwards = read_video(path, Indices((40, 3, 3, 74, 0)), **options)
    for frames in found.values():
        assert frames.indices.dtype == np.int64 and frames.timestamps.dtype == np.float64
        assert np.abs(frames.timestamps - truth[frames.indices]).max() < min(half, 0.001)
        assert [number_of(picture) for picture in frames.frames] == frames.indices.tolist(), "another frame was decoded"
    assert backwards.indices.tolist() == [40, 3, 3, 74, 0]
    end = truth[-1] + np.median(np.diff(truth))
    ticks = np.arange(0, end - 0.00077, 0.5)
    assert found[Fps(2)].indices.tolist() == [max(i for i, t in enumerate(truth) if t <= k + 0.00077) for k in ticks]
    info = probe_video(path, **options)
    assert info.frames == COUNT and info.size == (HEIGHT, WIDTH)
    assert info.fps == pytest.approx((COUNT - 1) / truth[-1], abs=1e-3)
    assert truth[-1] < info.duration < truth[-1] + 0.15


def test_matroska_rounds_its_timestamps(videos):
    whole = np.array([int(1000 * t + Fraction(1, 2)) / 1000 for t in times_of("23.976")])  # all it can hold
    expected = [int((whole <= k / 8 + 0.00077).sum()) - 1 for k in range(26)]
    for backend in INSTALLED:
        found = read_video(videos / "film.mkv", Fps(8), backend=backend)
        assert found.indices.tolist() == expected
        np.testing.assert_allclose(found.timestamps, whole[expected], atol=1e-5)
        assert [number_of(picture) for picture in found.frames] == expected


CONTAINERS = {
    "b_frames.avi": ("libx264", {}),
    "xvid.avi": ("mpeg4", {}),
    "film.webm": ("libvpx", {"bf": "0"}),
    "film.wmv": ("wmv2", {"bf": "0"}),
    "film.flv": ("flv", {"bf": "0"}),
    "film.ts": ("libx264", {}),
    "open_gop.mp4": ("libx264", {"x264-params": "open-gop=1"}),
    "hevc.mkv": ("libx265", {"x265-params": "log-level=none"}),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_frames_are_exact_in_every_container_and_order(tmp_path, name):
    codec, options = CONTAINERS[name]
    try:
        path = write_video(tmp_path / name, steady(Fraction(25), COUNT), codec=codec, rate=Fraction(25), **options)
    except (ValueError, OSError) as error:
        pytest.skip(f"this PyAV cannot write {codec}: {error}")
    for backend in INSTALLED:
        for wanted in (tuple(range(COUNT)), (40, 3, 74, 13, 37, 60, 0), (5, 38, 39, 70)):
            found = read_video(path, Indices(wanted), backend=backend)
            assert tuple(number_of(picture) for picture in found.frames) == wanted, backend
            np.testing.assert_allclose(found.timestamps, np.array(wanted) / 25, atol=0.0011, err_msg=backend)
        assert probe_video(path, backend=backend).frames == COUNT


def test_uniform_is_its_own_mirror_image_and_holds_both_ends():
    for count in range(1, 60):
        for n in range(1, 20):
            chosen = Uniform(n).choose(np.arange(count) / 25, count / 25)
            assert len(chosen) == min(n, count) and (np.diff(chosen) > 0).all()
            mirrored = count - 1 - chosen[::-1]
            differ = np.flatnonzero(mirrored != chosen).tolist()
            odd_one = min(n, count) % 2 == 1 and count % 2 == 0
            assert differ == ([len(chosen) // 2] if odd_one else [])
            if n > 1 and count > 1:
                exact = [k * (count - 1) / (len(chosen) - 1) for k in range(len(chosen))]
                assert chosen[0] == 0 and chosen[-1] == count - 1 and np.abs(chosen - exact).max() < 1


def test_segments_are_tsns():
    for count in (1, 3, 8, 100, 101):
        times = np.arange(count) / 25
        assert Segments(8).choose(times, 0).tolist() == [int((k + 0.5) * count / 8) for k in range(8)]
        random = [Segments(8, jitter=seed).choose(times, 0) for seed in range(200)]
        for k in range(8):
            seen = {int(chosen[k]) for chosen in random}
            assert seen <= {int(k * count / 8 + u * count / 8) for u in np.linspace(0, 0.999999, 200)}
            assert count < 100 or len(seen) > 5
    assert (Segments(8, jitter=1).choose(times, 0) == Segments(8, jitter=1).choose(times, 0)).all()


@pytest.mark.parametrize("backend", [*INSTALLED, "folder"])
def test_short_side_is_met_and_the_picture_is_the_same(videos, backend):
    path = videos / ("25" if backend == "folder" else "25.mp4")
    options = {} if backend == "folder" else {"backend": backend}
    small = read_video(path, Uniform(4), short_side=24, **options)
    assert small.frames.shape == (4, 24, 48, 3)
    assert [number_of(picture) for picture in small.frames] == small.indices.tolist()
    whole = read_video(path, Uniform(4), **options).frames.astype(float)
    pooled = whole.reshape(4, 24, 2, 48, 2, 3).mean((2, 4))
    assert np.abs(pooled - small.frames).mean() < 12


def turn(source, path, degrees):
    """Writes the rotation into the track header of an mp4, as a phone does."""
    data = bytearray(source.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # version 0: the matrix comes after 40 bytes
    one = 1 << 16
    a, b = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    for number, value in enumerate((a, b, 0, -b, a, 0, 0, 0, 1 << 30)):
        data[place + 4 * number : place + 4 * number + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_in_the_metadata_is_applied(videos, tmp_path, degrees):
    path = turn(videos / "25.mp4", tmp_path / "turned.mp4", degrees)
    upright = np.rot90(numbered(5), -degrees // 90)  # the matrix turns clockwise
    for backend in INSTALLED:
        found = read_video(path, Indices((5,)), backend=backend).frames[0]
        assert found.shape == upright.shape, backend
        assert np.abs(found.astype(float) - upright).mean() < 8, backend
        assert probe_video(path, backend=backend).size == upright.shape[:2]
        small = read_video(path, Indices((5,)), backend=backend, short_side=24).frames[0]
        assert small.shape[:2] == ((48, 24) if degrees % 180 else (24, 48))


def test_streaming_gives_the_same_frames_in_batches(videos):
    whole = read_video(videos / "25.mp4", Uniform(20))
    parts = list(stream_video(videos / "25.mp4", Uniform(20), batch=8))
    assert [len(part) for part in parts] == [8, 8, 4]
    for name in ("frames", "timestamps", "indices"):
        np.testing.assert_array_equal(np.concatenate([getattr(p, name) for p in parts]), getattr(whole, name))


# ---------------------------------------------------------------------- what is wrong with a file


def broken(tmp_path, videos):
    good = (videos / "25.mp4").read_bytes()
    content = {
        "empty.mp4": b"",
        "text.mp4": b"this is no video\n" * 100,
        "noise.mp4": np.random.default_rng(0).bytes(20000),
        "cut.mp4": good[: len(good) // 2],
        "head.mp4": good[:64],
        "page.mkv": b"<html>404</html>",
    }
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder").mkdir()
    return [*content, "folder", "missing.mp4"]


@pytest.mark.parametrize("backend", INSTALLED)
def test_a_broken_file_is_one_line_that_names_it(tmp_path, videos, backend):
    for name in broken(tmp_path, videos):
        for call in (lambda p: read_video(p, Uniform(4), backend=backend), lambda p: probe_video(p, backend=backend)):
            with pytest.raises(VideoError) as caught:
                call(tmp_path / name)
            line = str(caught.value)
            assert line.startswith(f"{tmp_path / name}: ") and "\n" not in line and len(line) < 400
            assert line.count(str(tmp_path / name)) == 1
    assert len(read_video(videos / "25.mp4", Uniform(4), backend=backend)) == 4


@pytest.mark.parametrize("backend", INSTALLED)
def test_a_packet_that_cannot_be_decoded_shows_the_frame_before(tmp_path, backend):
    path = write_video(tmp_path / "damaged.mkv", steady(Fraction(25), 30), g="10", bf="0")
    whole = [packet for packet in packets(path) if packet]
    data = bytearray(path.read_bytes())
    for number in (14, 29):  # in the middle, and the last, as where a download was cut short
        place = data.index(whole[number])
        data[place : place + len(whole[number])] = b"\xff" * len(whole[number])
    path.write_bytes(data)
    found = read_video(path, Indices(tuple(range(30))), backend=backend)
    numbers = [number_of(frame) for frame in found.frames]
    assert len(numbers) == 30 and numbers[:14] == list(range(14)) and numbers[20:29] == list(range(20, 29))
    assert number_of(read_video(path, Indices((29,)), backend=backend).frames[0]) == numbers[29] == 28


def packets(path):
    import av

    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0)]


def test_a_sound_with_a_cover_is_no_film(tmp_path):
    import av
    from PIL import Image

    Image.new("RGB", (32, 32)).save(tmp_path / "cover.png")
    sound = np.zeros((1, 8000), np.float32)
    with av.open(str(tmp_path / "song.mp4"), "w") as container, av.open(str(tmp_path / "cover.png")) as cover:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        picture = container.add_stream_from_template(cover.streams.video[0])
        picture.disposition = av.stream.Disposition.attached_pic
        for packet in cover.demux(video=0):
            if packet.size:
                packet.stream = picture
                container.mux(packet)
        frame = av.AudioFrame.from_ndarray(sound, "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(VideoError, match=r"song\.mp4: holds a cover picture, and no video stream"):
        read_video(tmp_path / "song.mp4", Uniform(1))


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
@pytest.mark.parametrize("backend", INSTALLED)
def test_a_name_that_is_no_text_is_read(tmp_path, videos, backend):
    path = tmp_path / os.fsdecode(b"film \xff.mp4")
    path.write_bytes((videos / "25.mp4").read_bytes())
    assert number_of(read_video(path, Indices((41,)), backend=backend).frames[0]) == 41


def test_a_folder_of_frames_that_does_not_fit_is_one_line(tmp_path):
    folder = write_folder(tmp_path / "film", steady(Fraction(25), 12), False)
    found = read_video(folder, Indices((0, 9, 10, 11)), folder_fps=5)
    assert [number_of(picture) for picture in found.frames] == [0, 9, 10, 11]  # 2 before 10
    assert found.timestamps.tolist() == [0, 1.8, 2, 2.2]
    for text, line in (("0 1 x", "not one number a line"), ("0 1 2", "without as many rising times")):
        (folder / "timestamps.txt").write_text(text)
        with pytest.raises(VideoError, match=f"film: has .*{line}"):
            read_video(folder, Uniform(2))
    (folder / "timestamps.txt").unlink()
    (folder / "frame_1.png").write_bytes((folder / "frame_1.png").read_bytes()[:100])
    with pytest.raises(VideoError, match=r"frame_1\.png"):
        read_video(folder, Uniform(12))


def test_wrong_arguments_are_told_at_once(videos):
    path = videos / "25.mp4"
    with pytest.raises(VideoError, match=r"25\.mp4: has 75 frames, so there is no frame 75"):
        read_video(path, Indices((75,)))
    with pytest.raises(ValueError, match='did you mean "decord"'):
        read_video(path, Uniform(1), backend="decrod")
    for make in (lambda: Uniform(0), lambda: Fps(0), lambda: Segments(0), lambda: Indices(()), lambda: Indices((-1,))):
        with pytest.raises(ValueError):
            make()
    for make in (lambda: Uniform(2.5), lambda: Segments("4"), lambda: Indices((3.7,)), lambda: Fps(1, most=1.5)):
        with pytest.raises(ValueError, match="counts whole frames, got "):
            make()
    with pytest.raises(ValueError, match="is a seed"):
        Segments(4, jitter=-1)
    assert read_video(path, Uniform(np.int64(3))).indices.tolist() == [0, 37, 74]
    assert read_video(path, Fps(np.float32(1), (np.float32(1), 2))).indices.tolist() == [25]
    with pytest.raises(TypeError, match="one of Uniform"):
        read_video(path, 4)


def test_a_missing_backend_says_what_to_install(videos):
    for backend in set(BACKENDS) - set(INSTALLED):
        with pytest.raises(BackendMissing, match=f"which the backend {backend} needs: pip install"):
            read_video(videos / "25.mp4", Uniform(1), backend=backend)


# ---------------------------------------------------------------------- files of the real world


def read_or_check_line(path, backend):
    try:
        return read_video(path, Fps(2), short_side=64, backend=backend)
    except VideoError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        return None


def test_every_real_file_is_read_the_same_by_all_backends_or_refused_in_one_line(data_root):
    files = sorted((data_root / "videos").glob("*")) if (data_root / "videos").is_dir() else []
    if not files:
        pytest.skip("no real videos")
    read = {}
    for path in files:
        found = {backend: read_or_check_line(path, backend) for backend in INSTALLED}
        read[path.name] = [frames for frames in found.values() if frames is not None]
        for frames in read[path.name]:
            first = read[path.name][0]
            np.testing.assert_array_equal(frames.indices, first.indices)
            np.testing.assert_allclose(frames.timestamps, first.timestamps, atol=0.001)
            assert frames.frames.shape == first.frames.shape and min(frames.frames.shape[1:3]) == 64
            assert np.abs(frames.frames.astype(float) - first.frames).mean() < 6
    missed = {name for name, frames in read.items() if len(frames) < len(INSTALLED)}
    assert missed <= {"corrupted.mp4"}
    for degrees, shape in ((0, (64, 114)), (90, (114, 64)), (180, (64, 114)), (270, (114, 64))):
        assert read[f"rotated_{degrees}.mov"][0].frames.shape[1:3] == shape


def test_frames_know_how_long_their_video_is(videos):
    path = videos / "25.mp4"
    wanted = probe_video(path).duration
    assert read_video(path, Uniform(3)).duration == wanted
    assert {part.duration for part in stream_video(path, Uniform(5), batch=2)} == {wanted}


def test_a_picture_may_be_called_by_a_digit_that_is_no_number(tmp_path):
    folder = write_folder(tmp_path / "film", steady(Fraction(25), 2), False)
    (folder / "frame_1.png").rename(folder / "²")
    (folder / "²").rename(folder / "².png")
    assert len(read_video(folder, Uniform(2))) == 2


def test_a_pipe_is_no_film(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match=r"a\.mp4: is a pipe"):
        read_video(tmp_path / "a.mp4", Uniform(2))
