"""Pictures and films -> the records of a search index."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from clipkit.backbone import ClipModel
from clipkit.data.images import read_image
from clipkit.data.video import Fps, stream_video
from clipkit.device import images_at_once
from clipkit.embed.encoder import finite
from clipkit.search.media import is_image

BATCH = 64  # frames that are embedded at once


def embed_file(file: Path, clip: ClipModel, fps: float, options: dict[str, Any]) -> dict[str, np.ndarray]:
    """A file's record. `options`: of `stream_video`, and `resize`, of `index_key`."""
    resize = options["resize"]
    options = {key: value for key, value in options.items() if key != "resize"}
    if is_image(file):
        frame, zero = np.zeros(1, np.int64), np.zeros(1)
        return {"embeddings": embed(read_image(file)[None], clip, resize), "frame": frame, "start": zero, "end": zero}
    video = stream_video(file, Fps(fps), short_side=max(clip.image_size), batch=BATCH, **options)
    rows, frames, times = [], [], []
    with ThreadPoolExecutor(1) as pool:  # decodes the next batch meanwhile
        coming = pool.submit(next, video, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, video, None)
            rows.append(embed(batch.frames, clip, resize))
            frames.append(batch.indices)
            times.append(batch.timestamps)
            duration = batch.duration
    start = np.concatenate(times)
    return {
        "embeddings": np.concatenate(rows),
        "frame": np.concatenate(frames),
        "start": start,
        "end": np.append(start[1:], max(duration, start[-1])),
    }


@torch.no_grad()
def embed(frames: np.ndarray, clip: ClipModel, resize: str) -> np.ndarray:
    """`(B, H, W, 3)` -> `(B, D)` float16, by CLIP's own preprocessing, or squeezed into its square."""
    if resize == "squash":
        images = torch.from_numpy(np.array(frames)).to(clip.device).movedim(-1, 1).float() / 255
        images = F.interpolate(images, clip.image_size, mode="bicubic", antialias=True).clamp(0, 1)
    else:
        preprocess = clip.preprocess
        images = torch.stack([preprocess(Image.fromarray(frame)) for frame in frames]).to(clip.device)
    rows = torch.cat([clip.encode_image(part).float() for part in images.split(images_at_once(clip.device))])
    return finite(rows).cpu().numpy().astype(np.float16)
