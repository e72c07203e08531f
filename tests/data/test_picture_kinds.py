"""A picture means the same as a path, as bytes, as a PIL image and as an array of its values."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from clipkit.data import read_image, read_mask, walk
from clipkit.data.images import array_to_rgb, image_size, read_bytes, to_rgb
from clipkit.errors import ClipkitError

RAMP = np.linspace(0, 255, 12 * 20).astype(np.uint8).reshape(12, 20)
RGB = np.dstack([RAMP, RAMP[::-1], RAMP[:, ::-1]])
ALPHA = RAMP.T.reshape(12, 20)


def exif(orientation):
    found = Image.Exif()
    found[0x0112] = orientation
    return found


PICTURES = {
    "grey.png": (Image.fromarray(RAMP), RAMP),
    "deep.png": (Image.fromarray(RAMP.astype(np.uint16) * 257), RAMP),
    "deep.tif": (Image.fromarray(RAMP.astype(np.uint16) * 257), RAMP),
    "float.tif": (Image.fromarray(RAMP.astype(np.float32) / 255), RAMP),
    "palette.png": (Image.fromarray(RGB).quantize(16), None),
    "clear.png": (Image.fromarray(np.dstack([RGB, ALPHA])), RGB),
    "clear.webp": (Image.fromarray(np.dstack([RGB, ALPHA])), None),
    "two.png": (Image.fromarray(np.dstack([RAMP, ALPHA])), RAMP),
    "bit.png": (Image.fromarray(RAMP > 99), (RAMP > 99) * np.uint8(255)),
    "ink.jpg": (Image.fromarray(RGB).convert("CMYK"), None),
    "ink.tif": (Image.fromarray(RGB).convert("CMYK"), None),
    "line.png": (Image.fromarray(RGB[:1]), RGB[:1]),
    **{f"turned{i}.png": (Image.fromarray(RGB), None) for i in range(1, 9)},
}


@pytest.mark.parametrize("name", PICTURES)
def test_path_bytes_and_object_are_one_picture(tmp_path, name):
    picture, wanted = PICTURES[name]
    options = {"exif": exif(int(name[6]))} if name.startswith("turned") else {}
    picture.save(tmp_path / name, **options)
    by_path = read_image(tmp_path / name)
    assert by_path.dtype == np.uint8 and by_path.shape[2] == 3
    assert np.array_equal(by_path, read_bytes((tmp_path / name).read_bytes()))
    with Image.open(tmp_path / name) as opened:
        assert np.array_equal(by_path, to_rgb(opened))
    with Image.open(tmp_path / name) as opened:
        opened.load()
        assert np.array_equal(by_path, to_rgb(opened.copy()))
    assert image_size(tmp_path / name)[:2] == image_size(tmp_path / name, decode=False)[:2] == by_path.shape[1::-1]
    if wanted is not None:
        assert np.array_equal(by_path, wanted if wanted.ndim == 3 else wanted[..., None].repeat(3, 2))


@pytest.mark.parametrize(
    "array, wanted",
    [
        (RAMP, RAMP),
        (RAMP[..., None], RAMP),
        (np.dstack([RAMP, ALPHA]), RAMP),
        (RGB, RGB),
        (np.dstack([RGB, ALPHA]), RGB),
        (RAMP.astype(np.uint16) * 257, RAMP),
        (RGB.astype(np.float64) / 255, RGB),
        (RGB.astype(np.float16) / 255, None),
        (RAMP > 99, (RAMP > 99) * np.uint8(255)),
    ],
)
def test_arrays(array, wanted):
    found = array_to_rgb(array)
    assert found.dtype == np.uint8 and found.shape == (12, 20, 3)
    if wanted is not None:
        assert np.array_equal(found, wanted if wanted.ndim == 3 else wanted[..., None].repeat(3, 2))


def test_what_is_no_picture():
    for array in (
        RGB.astype(np.int64),
        RGB.astype(float),
        np.full((2, 2), np.nan),
        RGB[None],
        RGB[:0],
        RGB.astype(str),
    ):
        with pytest.raises(ValueError, match=r"an? (float )?image"):
            array_to_rgb(array)
    for picture in (Image.fromarray(RAMP.astype(np.int32)), Image.fromarray(RAMP.astype(np.float32))):
        with pytest.raises(ClipkitError, match="32-bit numbers"):
            to_rgb(picture)
    with pytest.raises(ClipkitError, match="7 bytes: not a readable image"):
        read_bytes(b"picture")


def test_a_cut_file_is_named_whatever_opened_it(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "x.jpg")
    data = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(data[: len(data) // 2])
    with Image.open(tmp_path / "x.jpg") as opened, pytest.raises(ClipkitError, match=r"x\.jpg: not a readable image"):
        to_rgb(opened)


def test_a_predictor_takes_them_all(tmp_path):
    pytest.importorskip("mmengine")
    from clipkit.predict.predictor import as_rgb

    Image.fromarray(RGB).save(tmp_path / "x.png", exif=exif(6))
    wanted = read_image(tmp_path / "x.png")
    tensor = torch.from_numpy(wanted.copy()).permute(2, 0, 1)
    for picture in (tmp_path / "x.png", (tmp_path / "x.png").read_bytes(), Image.open(tmp_path / "x.png"), wanted):
        assert np.array_equal(as_rgb(picture), wanted)
    for given in (tensor, tensor / 255, (tensor / 255).double()):
        assert np.array_equal(as_rgb(given), wanted)
    assert as_rgb(tensor[:1].to(torch.bfloat16) / 255).shape == wanted.shape
    with pytest.raises(ValueError, match="do not normalise"):
        as_rgb(tensor / 255 - 0.5)


def test_a_mask_of_one_bit_holds_ids(tmp_path):
    Image.fromarray(RAMP > 99).save(tmp_path / "m.png")
    found = read_mask(tmp_path / "m.png")
    assert found.dtype == np.uint8 and np.array_equal(found, RAMP > 99)


def test_folders_that_link_in_circles(tmp_path):
    for place in ("a/1.png", "a/deep/2.png", "far/3.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    (tmp_path / "a/deep/up").symlink_to(tmp_path / "a")
    (tmp_path / "a/out").symlink_to(tmp_path / "far")
    (tmp_path / "a/again").symlink_to(tmp_path / "far")
    (tmp_path / "far/all").symlink_to(tmp_path)
    (tmp_path / "a/gone").symlink_to(tmp_path / "nowhere")
    found = [path.relative_to(tmp_path).as_posix() for path in walk(tmp_path / "a")]
    assert found == ["a/1.png", "a/again/3.png", "a/deep/2.png"]


def test_a_damaged_chunk_over_which_pillow_fails_otherwise(tmp_path):
    """Pillow reads two bytes of a grey PNG's transparency, of which there is one: that is struct's own error."""
    whole = io.BytesIO()
    Image.new("L", (4, 4)).save(whole, "PNG")
    head, pixels = whole.getvalue().split(b"IDAT", 1)
    chunk = b"tRNS\x00"
    chunk = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(head[:-4] + chunk + head[-4:] + b"IDAT" + pixels)
    with pytest.raises(ClipkitError, match=r"a\.png: not a readable image"):
        read_image(tmp_path / "a.png")
    with pytest.raises(ClipkitError, match=r"a\.png: not a readable mask"):
        read_mask(tmp_path / "a.png")
