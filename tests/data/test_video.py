"""Reading videos: equal frames and times from every backend, and no file that takes a process down."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from video_files import HEIGHT, RATES, WIDTH, number_of, numbered, steady, variable, write_folder, write_video

from clipkit.data import (
    Fps,
    Indices,
    Segments,
    Uniform,
    VideoError,
    VideoReader,
    _video_process,
    probe_video,
    read_video,
    stream_video,
)
from clipkit.data._video_backends import BACKENDS

pytest.importorskip("av", reason="the test videos are written with PyAV")
COUNT = 75
MODULES = {"decord": "decord", "pyav": "av", "opencv": "cv2", "torchcodec": "torchcodec"}
INSTALLED = [name for name in BACKENDS if importlib.util.find_spec(MODULES[name])]
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


REFUSED = {".ts": ("decord", "torchcodec"), ".avi": ("torchcodec",)}


@pytest.mark.parametrize("name", CONTAINERS)
def test_frames_are_exact_in_every_container_and_order(tmp_path, name):
    codec, options = CONTAINERS[name]
    try:
        path = write_video(tmp_path / name, steady(Fraction(25), COUNT), codec=codec, rate=Fraction(25), **options)
    except (ValueError, OSError) as error:
        pytest.skip(f"this PyAV cannot write {codec}: {error}")
    for backend in INSTALLED:
        if backend in REFUSED.get(path.suffix, ()):
            with pytest.raises(VideoError, match=f"{backend} .*(read it with|another backend may)"):
                read_video(path, Uniform(4), backend=backend)
            continue
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


def test_a_video_that_hangs_is_given_up_in_time(tmp_path, videos):
    os.mkfifo(tmp_path / "hangs.mp4")  # opening it blocks in native code: nobody writes
    read_video(videos / "25.mp4", Uniform(1))
    start = time.monotonic()
    with pytest.raises(VideoError, match=r"hangs\.mp4: gave no frame within 0\.5 s"):
        read_video(tmp_path / "hangs.mp4", Uniform(4), timeout=0.5)
    assert time.monotonic() - start < 5
    assert len(read_video(videos / "25.mp4", Uniform(4))) == 4


def test_a_long_way_to_a_frame_is_no_hang(videos, monkeypatch):
    slow = (
        "import sys, time; sys.path[0:1] = []; sys.path.append({root!r})\n"
        "from clipkit.data import _video_backends as b; from clipkit.data._video_child import main\n"
        "import cv2; opened = cv2.VideoCapture\n"
        "class Slow:\n"
        "    def __init__(self, *a): self.real = opened(*a)\n"
        "    def __getattr__(self, name): return getattr(self.real, name)\n"
        "    def grab(self): time.sleep(0.04); return self.real.grab()\n"
        "cv2.VideoCapture = Slow; main()"
    )
    _video_process._close_all()
    monkeypatch.setattr(_video_process, "_CODE", slow)
    try:
        assert (
            probe_video(videos / "25.mp4", backend="opencv", timeout=60).frames == COUNT
        )  # a fresh reader may take long
        start = time.monotonic()
        found = read_video(videos / "25.mp4", Indices((70,)), backend="opencv", timeout=2)
        assert time.monotonic() - start > 2 and number_of(found.frames[0]) == 70
    finally:
        _video_process._close_all()


def test_a_decoder_that_dies_is_an_error_of_its_video(videos):
    stream = stream_video(videos / "25.mp4", Indices(tuple(range(COUNT)) * 40), batch=1)
    next(stream)
    (busy,) = [r for r in _video_process._all if r not in _video_process._idle]
    busy.process.send_signal(signal.SIGSEGV)
    with pytest.raises(VideoError, match=r"25\.mp4: ended the process that read it \(signal SIGSEGV"):
        list(stream)
    assert len(read_video(videos / "25.mp4", Uniform(4))) == 4


def test_wrong_arguments_are_told_at_once(videos):
    path = videos / "25.mp4"
    with pytest.raises(VideoError, match=r"25\.mp4: has 75 frames, so there is no frame 75"):
        read_video(path, Indices((75,)))
    with pytest.raises(ValueError, match='did you mean "decord"'):
        read_video(path, Uniform(1), backend="decrod")
    for make in (lambda: Uniform(0), lambda: Fps(0), lambda: Segments(0), lambda: Indices(()), lambda: Indices((-1,))):
        with pytest.raises(ValueError):
            make()
    with pytest.raises(TypeError, match="one of Uniform"):
        read_video(path, 4)


def test_a_missing_backend_says_what_to_install(videos):
    for backend in set(BACKENDS) - set(INSTALLED):
        with pytest.raises(VideoError, match=f"which the backend {backend} needs: pip install"):
            read_video(videos / "25.mp4", Uniform(1), backend=backend)


# ---------------------------------------------------------------------- processes


class Videos(torch.utils.data.Dataset):
    def __init__(self, paths, broken):
        self.paths, self.reader = paths, VideoReader(Uniform(4), broken=broken, timeout=2)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        found = self.reader(self.paths[index])
        return index, None if found is None else [number_of(picture) for picture in found.frames]


def test_daemonic_workers_read_and_skip(tmp_path, videos):
    os.mkfifo(tmp_path / "hangs.mp4")
    (tmp_path / "text.mp4").write_bytes(b"no video" * 50)
    good = str(videos / "25.mp4")
    expected = [number_of(picture) for picture in read_video(good, Uniform(4)).frames]  # this process has a reader too
    paths = [good, str(tmp_path / "text.mp4"), good, str(tmp_path / "hangs.mp4"), good, good]
    read = {"timeout": 60, "num_workers": 2, "batch_size": None}
    found = dict(torch.utils.data.DataLoader(Videos(paths, "skip"), **read))
    assert found == {i: expected if path == good else None for i, path in enumerate(paths)}
    with pytest.raises(VideoError, match=r"text\.mp4"):
        list(torch.utils.data.DataLoader(Videos(paths, "stop"), **read))
    assert [number_of(picture) for picture in read_video(good, Uniform(4)).frames] == expected


def test_a_skipped_file_is_named_once_and_not_tried_again(tmp_path, capsys):
    (tmp_path / "text.mp4").write_bytes(b"no video" * 50)
    reader = VideoReader(Uniform(4))
    assert reader(tmp_path / "text.mp4") is None and reader(tmp_path / "text.mp4") is None
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and line.startswith("skipped: ") and "text.mp4" in line
    assert list(reader.skipped) == [str(tmp_path / "text.mp4")]


def test_one_process_serves_many_videos_and_an_abandoned_one_ends(videos):
    read_video(videos / "25.mp4", Uniform(2))
    assert len(_video_process._idle) == len(_video_process._all) == 1
    for backend in INSTALLED:
        read_video(videos / "29.97.mp4", Uniform(2), backend=backend)
    with pytest.raises(VideoError):  # a broken file alone costs no process
        read_video(videos / "25.mp4", Indices((999,)))
    assert len(_video_process._all) == 1
    stream = stream_video(videos / "25.mp4", Indices(tuple(range(COUNT)) * 40), batch=1)
    next(stream)
    pids = [reader.process for reader in _video_process._all if reader not in _video_process._idle]
    stream.close()
    assert pids and all(process.poll() is not None for process in pids)


def test_a_reader_is_replaced_after_many_videos_so_that_leaks_end(videos, monkeypatch):
    monkeypatch.setattr(_video_process, "_VIDEOS", 2)
    _video_process._close_all()
    seen = []
    for _ in range(4):
        with _video_process.borrow() as reader:
            seen.append(reader.process.pid)
            reader.videos += 1
    assert seen[0] == seen[1] != seen[2] == seen[3]
    assert not _video_process._idle


def test_no_reader_outlives_a_killed_parent(videos, tmp_path):
    os.mkfifo(tmp_path / "hangs.mp4")
    code = (
        "import sys, os, signal, threading, time\n"
        "from clipkit.data import read_video, Uniform, _video_process\n"
        "path, hang = sys.argv[1:]\n"
        "read_video(path, Uniform(2))\n"
        "hung = threading.Thread(target=read_video, args=(hang, Uniform(2)), kwargs={'timeout': 0.1})\n"
        "idle = _video_process._Reader()\n"
        "_video_process._idle.insert(0, idle)\n"
        "hung.start()\n"
        "time.sleep(0.3)\n"
        "print(*[r.process.pid for r in _video_process._all], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = [sys.executable, "-c", code, str(videos / "25.mp4"), str(tmp_path / "hangs.mp4")]
    pids = [int(pid) for pid in subprocess.run(run, capture_output=True, check=False).stdout.split()]
    assert pids
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() and not is_zombie(pid) for pid in pids):
        assert time.monotonic() < deadline, "the reader is still there"
        time.sleep(0.05)


def is_zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.parametrize("backend", INSTALLED)
def test_memory_stays_flat_over_a_film_of_ten_minutes(tmp_path, backend):
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 255, (8, 90, 160, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)  # 360 x 640

    def picture(number):
        return np.roll(scenes[number // 50 % 8], 2 * number, 1)

    film = write_video(
        tmp_path / "long.mp4", steady(RATES["25"], 15000), picture=picture, preset="ultrafast", g="250", crf="35"
    )
    sizes, own = [], []
    for number, part in enumerate(stream_video(film, Fps(5), backend=backend, batch=25)):
        assert part.frames.shape == (25, 360, 640, 3)
        if number >= 6:  # the first half minute fills pools and caches
            (reader,) = [r for r in _video_process._all if r not in _video_process._idle]
            sizes.append(resident(reader.process.pid))
            own.append(resident(os.getpid()))
    assert len(sizes) == 120 - 6
    print(f"{backend}: reader {(max(sizes) - sizes[0]) / 2**20:.1f} MiB, caller {(max(own) - own[0]) / 2**20:.1f} MiB")
    assert max(sizes) - sizes[0] < 50e6 and max(own) - own[0] < 50e6


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
    assert missed <= {"corrupted.mp4", "test.avi"} and len(read["test.avi"]) == len({*INSTALLED} - {"torchcodec"})
    for degrees, shape in ((0, (64, 114)), (90, (114, 64)), (180, (64, 114)), (270, (114, 64))):
        assert read[f"rotated_{degrees}.mov"][0].frames.shape[1:3] == shape
