"""A film of 2.2 KiB and 20 frames, whose header counts whole seconds: it must not give tens of thousands of frames."""

import struct
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from clipkit.data.video import Fps, stream_video
from support.video_files import RATES, steady, write_video

path = Path(tempfile.mkdtemp()) / "v.mp4"
write_video(path, steady(RATES["25"], 20))
data = bytearray(path.read_bytes())
place = data.find(b"mdhd")
data[place + 16 : place + 20] = struct.pack(">I", 1)
path.write_bytes(data)
count = 0
for frames in stream_video(path, Fps(2), backend="pyav", short_side=64):
    count += len(frames)
    if count > 10_000:
        break
print(f"{len(data)} bytes, 20 frames written, {count} frames read")
sys.exit(count > 1000)
