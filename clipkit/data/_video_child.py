"""The reader process: a job a line comes in, frames go out. What a decoder does to it (hang, crash, leak) ends here.

In:  JSON lines `{"path", "backend", "short_side", "sampling", "folder_fps", "timeout", "most",
"longest"}`.
Out: messages of 4 bytes length and JSON of that length: first `{"indices", "times", "size", "count", "fps",
"duration"}`, then for each index length 0 and the frame's bytes; `{"error": line}` at any time instead ends the job,
`{"alive": true}` says that it goes on.
`sampling` None asks for the first message only. A job with `sound` asks for what is heard instead: first `{"rate",
"channels"}`, then messages `{"samples": n}`, each followed by n samples of all channels, the last with n = 0.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from clipkit.data._audio_stream import SoundTrack
from clipkit.data._video_backends import load, open_video
from clipkit.data._video_film import PROGRESS, Refused, check_length, end_of
from clipkit.data._video_sampling import from_json


def main() -> None:
    """Serves jobs until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle; its end closes our input
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what decoders print must not come between the frames
    for line in sys.stdin.buffer:
        job = json.loads(line)
        try:
            _serve(job, out)
        except BrokenPipeError:
            return
        except Refused as error:
            _send(out, {"error": str(error)})
        except Exception as error:
            reason = _reason(error, job["path"])
            line = f"cannot be read by {job['backend']} ({reason}); another backend may"
            alone = job.get("sound") or os.path.isdir(job["path"])
            _send(out, {"error": f"cannot be read ({reason})" if alone else line})
        _alarm(0)


def _serve(job: dict[str, Any], out: BinaryIO) -> None:
    if not os.path.isdir(job["path"]):
        load(job["backend"])
    _send(out, {"alive": True})  # the imports, which no video is to blame for, are done
    # The parent kills us at the timeout; should it be gone by then, the alarm does, even in a hang in native code.
    limit = job["timeout"] + 2
    _alarm(limit)
    PROGRESS.report = _reporter(out, limit)
    if job.get("sound"):
        return _serve_sound(job, out, limit)
    video = open_video(job["path"], job["backend"], job["short_side"], job["folder_fps"], job["most"])
    times = video.times
    duration = end_of(times, video.last)
    check_length(len(times), job["most"], duration, job["longest"])
    about: dict[str, Any] = {
        "count": len(times),
        "fps": (len(times) - 1) / float(times[-1]) if times[-1] > 0 else 0.0,
        "duration": duration,
        "size": list(video.size),
    }
    if job["sampling"] is None:
        return _send(out, about)
    try:
        indices = from_json(job["sampling"]).choose(times, about["duration"])
    except ValueError as error:
        raise Refused(str(error)) from None
    _send(out, {**about, "indices": indices.tolist(), "times": times[indices].tolist()})
    for index in indices.tolist():
        _alarm(limit)
        frame = np.ascontiguousarray(video.frame(index), dtype=np.uint8)
        if frame.shape != (*video.size, 3):
            raise Refused(f"changes its size in frame {index}, to {frame.shape[1]}x{frame.shape[0]}")
        _alarm(0)  # waiting for a slow parent is no hang
        _write(out, bytes(4))
        _write(out, frame.data.cast("B"))


def _serve_sound(job: dict[str, Any], out: BinaryIO, limit: float) -> None:
    track = SoundTrack(job["path"], job["longest"])
    first = round(job["start"] * track.rate)
    last = float("inf") if job["seconds"] is None else first + round(job["seconds"] * track.rate)
    _send(out, {"rate": track.rate, "channels": track.channels})
    for block in track.blocks(first, last):
        _alarm(0)
        if block.shape[1]:
            _send(out, {"samples": block.shape[1]})
            _write(out, np.ascontiguousarray(block).data.cast("B"))
        _alarm(limit)
    _send(out, {"samples": 0})


def _reporter(out: BinaryIO, limit: float) -> Callable[[], None]:
    """Says twice a second that decoding goes on."""
    last = time.monotonic()

    def progress() -> None:
        nonlocal last
        if time.monotonic() - last > 0.5:
            _alarm(0)
            _send(out, {"alive": True})
            _alarm(limit)
            last = time.monotonic()

    return progress


def _send(out: BinaryIO, message: dict[str, Any]) -> None:
    text = json.dumps(message).encode()
    _write(out, len(text).to_bytes(4, "little") + text)


def _write(out: BinaryIO, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while len(view):
        view = view[out.write(view) :]


def _alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)  # SIGALRM's default ends the process


def _reason(error: Exception, path: str) -> str:
    """The first line that says something, without the file's name and what decord puts before it."""
    lines = [line.strip() for line in str(error).replace(path, "it").splitlines() if line.strip()]
    line = lines[0].rpartition("Check failed: ")[2] if lines else type(error).__name__
    return line[:160]


if __name__ == "__main__":
    main()
