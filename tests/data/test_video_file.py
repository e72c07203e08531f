"""Films as they are written for people: every player's format, whole or not at all."""

import numpy as np
import pytest

from clipkit.data.video import Fps, probe_video, read_video
from clipkit.data.video_file import write_video
from clipkit.errors import ClipkitError

pytest.importorskip("av")


def test_frames_and_rate_come_back(tmp_path):
    frames = [np.full((33, 47, 3), level, np.uint8) for level in (20, 120, 220)]
    assert write_video(iter(frames), tmp_path / "a.mp4", 2.0) == 3
    about = probe_video(tmp_path / "a.mp4")
    assert (about.frames, about.size, about.fps) == (3, (32, 46), 2.0)  # the format wants even sides
    levels = read_video(tmp_path / "a.mp4", Fps(2)).frames.mean((1, 2, 3))
    np.testing.assert_allclose(levels, [20, 120, 220], atol=4)


def test_what_ends_early_leaves_no_file(tmp_path):
    def broken():
        yield np.zeros((32, 32, 3), np.uint8)
        raise OSError("the reader died")

    with pytest.raises(ValueError, match="at least one frame"):
        write_video([], tmp_path / "a.mp4", 2.0)
    with pytest.raises(ClipkitError, match=r"a\.mp4: cannot be written"):
        write_video(broken(), tmp_path / "a.mp4", 2.0)
    assert list(tmp_path.iterdir()) == []
