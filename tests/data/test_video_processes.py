"""Videos are read in processes of their own: nothing in a file hangs, kills, fills or outlives the one that asked."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from clipkit.data import (
    Fps,
    Indices,
    Uniform,
    VideoError,
    VideoReader,
    _video_process,
    probe_video,
    read_video,
    stream_video,
)
from support.video_files import INSTALLED, RATES, number_of, steady, write_video

pytest.importorskip("av", reason="the test videos are written with PyAV")
COUNT = 75
HANGS = (
    "import sys, time; sys.path[0:1] = []; sys.path.append({root!r})\n"
    "from clipkit.data._video_child import main\n"
    "import cv2; opened = cv2.VideoCapture\n"
    "cv2.VideoCapture = lambda path, *a: time.sleep(600) if 'hangs' in str(path) else opened(path, *a)\n"
    "main()"
)
"""A reader's process in which OpenCV waits for good at a film that is called so."""


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    for clock in ("25", "29.97"):
        write_video(root / f"{clock}.mp4", steady(RATES[clock], COUNT))
    return root


@pytest.fixture
def hanging(tmp_path, videos, monkeypatch):
    """A film at which OpenCV waits for good."""
    monkeypatch.setattr(_video_process, "_CODE", HANGS)
    _video_process._close_all()
    yield shutil.copy(videos / "25.mp4", tmp_path / "hangs.mp4")
    _video_process._close_all()


def test_a_video_that_hangs_is_given_up_in_time(videos, hanging):
    read_video(videos / "25.mp4", Uniform(1), backend="opencv")
    start = time.monotonic()
    with pytest.raises(VideoError, match=r"hangs\.mp4: gave no frame within 0\.5 s"):
        read_video(hanging, Uniform(4), backend="opencv", timeout=0.5)
    assert time.monotonic() - start < 5
    assert len(read_video(videos / "25.mp4", Uniform(4))) == 4


def test_a_thread_reads_where_pipes_cannot_be_polled(videos, hanging, monkeypatch):
    expected = read_video(videos / "25.mp4", Uniform(5))
    _video_process._close_all()
    monkeypatch.setattr(_video_process, "_HAS_POLL", False)
    for _ in range(2):  # by the same process
        assert np.array_equal(read_video(videos / "25.mp4", Uniform(5)).frames, expected.frames)
    next(stream_video(videos / "25.mp4", Fps(25), batch=2))  # left before its end: its process is killed
    with pytest.raises(VideoError, match=r"hangs\.mp4: gave no frame within 0\.5 s"):
        read_video(hanging, Uniform(4), backend="opencv", timeout=0.5)
    assert np.array_equal(read_video(videos / "29.97.mp4", Uniform(5)).indices, expected.indices)
    _video_process._close_all()


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


class Videos(torch.utils.data.Dataset):
    def __init__(self, paths, on_bad):
        self.paths, self.reader = paths, VideoReader(Uniform(4), on_bad=on_bad, timeout=2)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        found = self.reader(self.paths[index])
        return index, None if found is None else [number_of(picture) for picture in found.frames]


def test_daemonic_workers_read_and_skip(tmp_path, videos):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "text.mp4").write_bytes(b"no video" * 50)
    good = str(videos / "25.mp4")
    expected = [number_of(picture) for picture in read_video(good, Uniform(4)).frames]  # this process has a reader too
    paths = [good, str(tmp_path / "text.mp4"), good, str(tmp_path / "pipe.mp4"), good, good]
    read = {"timeout": 60, "num_workers": 2, "batch_size": None}
    found = dict(torch.utils.data.DataLoader(Videos(paths, "skip"), **read))
    assert found == {i: expected if path == good else None for i, path in enumerate(paths)}
    with pytest.raises(VideoError, match=r"text\.mp4"):
        list(torch.utils.data.DataLoader(Videos(paths, "raise"), **read))
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


def test_no_reader_outlives_a_killed_parent(videos, hanging):
    code = (
        "import sys, os, signal, threading, time\n"
        "from clipkit.data import read_video, Uniform, _video_process\n"
        "path, hang, _video_process._CODE = sys.argv[1:]\n"
        "read_video(path, Uniform(2))\n"
        "options = {'timeout': 1, 'backend': 'opencv'}\n"
        "hung = threading.Thread(target=read_video, args=(hang, Uniform(2)), kwargs=options)\n"
        "idle = _video_process._Reader()\n"
        "_video_process._idle.insert(0, idle)\n"
        "hung.start()\n"
        "time.sleep(0.3)\n"
        "print(*[r.process.pid for r in _video_process._all], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = [sys.executable, "-c", code, str(videos / "25.mp4"), str(hanging), HANGS]
    pids = [int(pid) for pid in subprocess.run(run, capture_output=True, check=False).stdout.split()]
    assert pids
    deadline = time.monotonic() + 30
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
