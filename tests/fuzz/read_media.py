"""Rows: pictures, masks and films."""

from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.io import savemat

from clipkit.data.audio import read_audio, write_wave
from clipkit.data.images import image_size, read_image, read_mask
from clipkit.data.video import Uniform, read_video
from clipkit.segmentation.public_datasets import _read_ids
from clipkit.shapes import write_film
from fuzz.table import Reader, only
from support import video_files


def picture(height: int = 24, width: int = 40, seed: int = 0) -> np.ndarray:
    """Noise over a slope, (H, W, 3) uint8: no format makes it much smaller."""
    noise = np.random.default_rng(seed).integers(0, 40, (height, width, 3))
    return (noise + np.linspace(0, 200, width)[None, :, None]).astype(np.uint8)


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _pictures(root: Path) -> None:
    rgb = Image.fromarray(picture())
    grey = rgb.convert("L")
    wide = Image.fromarray(picture()[..., 0].astype(np.uint16) * 200)
    alpha = rgb.convert("RGBA")
    frames = {"save_all": True, "append_images": [rgb.rotate(180), rgb.rotate(90)]}
    saved: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "a.jpg": (rgb, {}), "turned.jpg": (rgb, {"exif": _turned()}), "grey.jpg": (grey, {"progressive": True}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}), "a.png": (rgb, {}), "turned.png": (grey, {"exif": _turned()}),
        "palette.png": (rgb.convert("P"), {}), "wide.png": (wide, {}), "alpha.png": (alpha, {}),
        "one.png": (grey.convert("1"), {}), "a.webp": (rgb, {}), "lossless.webp": (alpha, {"lossless": True}),
        "a.gif": (rgb, frames), "a.bmp": (rgb, {}), "palette.bmp": (rgb.convert("P"), {}), "a.tiff": (rgb, {}),
        "deflate.tiff": (wide, {"compression": "tiff_adobe_deflate"}), "lzw.tiff": (rgb, {"compression": "tiff_lzw"}),
        "float.tiff": (Image.fromarray(picture()[..., 0] / np.float32(255)), {}),
        "jpeg.tiff": (rgb, {"compression": "jpeg"}),
        "a.ppm": (rgb, {}), "a.tga": (rgb, {}), "a.ico": (rgb, {}), "a.jp2": (rgb, {}), "a.avif": (rgb, {}),
    }  # fmt: skip
    Image.init()
    for name, (image, options) in saved.items():
        if Path(name).suffix in Image.EXTENSION and Image.EXTENSION[Path(name).suffix] in Image.SAVE:
            (root / name).mkdir()
            image.save(root / name / name, **options)


def _read_picture(folder: Path) -> Any:
    file = only(folder)
    return read_image(file), read_image(file, enough=8), image_size(file), image_size(file, decode=False)


def _masks(root: Path) -> None:
    ids = Image.fromarray((np.arange(24 * 40, dtype=np.uint8) % 5).reshape(24, 40))
    coloured = ids.convert("P")
    coloured.putpalette(list(range(256)) * 3)
    wide = Image.fromarray(np.arange(24 * 40, dtype=np.uint16).reshape(24, 40))
    saved = {
        "a.png": ids,
        "palette.png": coloured,
        "wide.png": wide,
        "one.png": ids.convert("1"),
        "a.gif": ids,
        "a.bmp": ids,
        "a.tiff": ids,
    }
    for name, image in saved.items():
        (root / name).mkdir()
        image.save(root / name / name)


def _read_mask(folder: Path) -> Any:
    return read_mask(only(folder))


def _matlab(root: Path) -> None:
    ids = np.arange(24 * 40, dtype=np.uint16).reshape(24, 40) % 7
    for name, packed in (("packed", True), ("plain", False)):
        (root / name).mkdir()
        savemat(root / name / "a.mat", {"LabelMap": ids, "note": "x"}, do_compression=packed)


def _read_matlab(folder: Path) -> Any:
    return _read_ids(str(folder / "a.mat"))


def _films(root: Path) -> None:
    times = video_files.steady(Fraction(25), 14)
    codecs = {"mp4": "libx264", "mkv": "libx264", "webm": "libvpx", "avi": "mpeg4"}
    for ending, codec in codecs.items():
        (root / ending).mkdir()
        rate = Fraction(25) if ending == "avi" else None
        video_files.write_video(root / ending / f"a.{ending}", times, codec=codec, rate=rate)


def _folder_films(root: Path) -> None:
    video_files.write_folder(root / "steady", video_files.steady(Fraction(25), 4), steps=False)
    video_files.write_folder(root / "timed", video_files.variable(4), steps=True)


def _read_film(backend: str, folder: Path) -> Any:
    path = folder if backend == "folder" else only(folder)
    options = {} if backend == "folder" else {"backend": backend}
    return read_video(path, Uniform(3), timeout=10, **options)


def _sounds(root: Path) -> None:
    time = np.arange(3000) / 8000
    wave = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 660 * time)]) * 0.5
    for kind in ("wav", "flac", "mp3", "opus"):
        (root / kind).mkdir()
    write_wave(root / "wav" / "a.wav", wave, 8000)
    for name, codec, rate in (("flac", "flac", 8000), ("mp3", "libmp3lame", 16000), ("opus", "libopus", 48000)):
        video_files.write_sound(root / name / f"a.{name}", wave, codec, rate)
    times = video_files.steady(Fraction(8), 4)
    (root / "film").mkdir()
    write_film(np.zeros((len(times), 16, 16, 3), np.uint8), root / "film" / "a.mkv", sound=torch.from_numpy(wave[0]))


def _read_sound(folder: Path) -> Any:
    return read_audio(only(folder), 8000, timeout=10).samples


READERS = [
    Reader("pictures", _pictures, _read_picture, checked=("*.png",), share=3),
    Reader("masks", _masks, _read_mask, checked=("*.png",)),
    Reader("masks of MATLAB", _matlab, _read_matlab, checked=("packed",)),
    *(Reader(f"films {name}", _films, partial(_read_film, name), share=0.5) for name in video_files.INSTALLED),
    Reader("sounds", _sounds, _read_sound),
    Reader("films of pictures", _folder_films, partial(_read_film, "folder"), checked=("steady",), share=0.5),
]
