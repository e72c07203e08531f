"""Reading and drawing images, masks and videos: plain functions."""

from ._paths import walk
from .audio import AUDIO_SUFFIXES, Audio, AudioError, read_audio, resample, write_wave
from .draw import colour_map, enlarge, grid, legend, overlay, save_indexed_png, used_entries, with_legend
from .images import IMAGE_SUFFIXES, MASK_SUFFIXES, list_images, read_image, read_mask
from .overlapped_pairs import OverlappedPairs, TimedText
from .pairs import Pairs, pair_folders
from .palette import palette
from .retrieved_batches import RetrievedBatches
from .video import (
    BACKENDS,
    VIDEO_SUFFIXES,
    BackendMissing,
    Fps,
    Indices,
    Segments,
    Uniform,
    VideoError,
    VideoFrames,
    VideoInfo,
    VideoReader,
    probe_video,
    read_video,
    stream_video,
)

__all__ = [
    "AUDIO_SUFFIXES",
    "BACKENDS",
    "IMAGE_SUFFIXES",
    "MASK_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Audio",
    "AudioError",
    "BackendMissing",
    "Fps",
    "Indices",
    "OverlappedPairs",
    "Pairs",
    "RetrievedBatches",
    "Segments",
    "TimedText",
    "Uniform",
    "VideoError",
    "VideoFrames",
    "VideoInfo",
    "VideoReader",
    "colour_map",
    "enlarge",
    "grid",
    "legend",
    "list_images",
    "overlay",
    "pair_folders",
    "palette",
    "probe_video",
    "read_audio",
    "read_image",
    "read_mask",
    "read_video",
    "resample",
    "save_indexed_png",
    "stream_video",
    "used_entries",
    "walk",
    "with_legend",
    "write_wave",
]
