"""Where a format has checksums, bytes that do not fit them are refused, also where its own reader takes them."""

import io
import os
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from clipkit.data.images import image_size, read_image, read_mask
from clipkit.errors import ClipkitError
from clipkit.safe import check_crcs, check_mat, file_kind, load_tensors, read_mat
from clipkit.safe import read_image as read_open


def test_a_tensor_that_a_disk_changed(tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"visual.proj": torch.arange(50.0)}, path)
    assert load_tensors(path)["visual.proj"][3] == 3
    data = bytearray(path.read_bytes())
    data[data.index(np.arange(50, dtype=np.float32).tobytes()) + 12] ^= 1
    path.write_bytes(data)
    assert torch.load(path, weights_only=True)["visual.proj"][3] != 3  # torch does not look
    with pytest.raises(ValueError, match=r"w\.pt: is truncated or damaged \(Bad CRC-32 .*\): copy it again"):
        load_tensors(path)


def png_with(pixels):
    """A mask whose pixels were exchanged for others, compressed as well as they, under the old checksum."""
    old, new = (io.BytesIO() for _ in range(2))
    for array, file in ((np.zeros_like(pixels), old), (pixels, new)):
        Image.fromarray(array).save(file, "PNG")
    data = new.getvalue()
    place = data.index(b"IDAT") - 4
    end = place + 8 + int.from_bytes(data[place : place + 4], "big")
    return data[:end] + zlib.crc32(old.getvalue()).to_bytes(4, "big") + data[end + 4 :]


def test_pixels_that_do_not_fit_their_checksum(tmp_path):
    path = tmp_path / "m.png"
    path.write_bytes(png_with(np.full((8, 9), 3, np.uint8)))
    with Image.open(path) as image:
        assert np.asarray(image).max() == 3  # Pillow does not look
    for read in (read_image, read_mask, image_size):
        with pytest.raises(ClipkitError, match=r"m\.png: not a readable .* \(a checksum in it is wrong\)"):
            read(path)
    assert image_size(path, decode=False)[:2] == (9, 8)
    whole = io.BytesIO()
    Image.fromarray(np.full((8, 9), 3, np.uint8)).save(whole, "PNG")
    assert read_open(whole).max() == 3


def test_an_avif_whose_planes_do_not_decode(tmp_path):
    path = tmp_path / "a.avif"
    try:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 40, 3), np.uint8)).save(path)
    except (KeyError, OSError, ValueError):
        pytest.skip("this Pillow writes no AVIF")
    data, kinds = path.read_bytes(), set()
    for place in range(60, len(data), 3):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            with Image.open(path) as image:
                image.load()
        except Exception as error:
            kinds.add(type(error))
            with pytest.raises(ClipkitError, match=r"a\.avif: not a readable image"):
                read_image(path)
    assert RuntimeError in kinds


def test_members_that_are_left_out_are_not_read(tmp_path):
    path = tmp_path / "w.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data/0", b"0123456789")
    path.write_bytes(path.read_bytes().replace(b"0123456789", b"0123456780"))
    check_crcs(path, but="/data/")
    with pytest.raises(zipfile.BadZipFile):
        check_crcs(path)


def test_a_pipe_is_no_matlab_file(tmp_path):
    os.mkfifo(tmp_path / "a.mat")
    with pytest.raises(ValueError, match="no plain file"):
        check_mat(tmp_path / "a.mat")


@pytest.mark.parametrize("packed", [False, True])
def test_matlab_s_arrays_are_those_that_scipy_reads(tmp_path, packed):
    matlab = pytest.importorskip("scipy.io")
    arrays = {
        "LabelMap": np.arange(24, dtype=np.uint16).reshape(4, 6), "x": np.eye(3) * 0.5, "s": np.array([[7]], np.int8),
        "wide": np.arange(6.0).reshape(1, 2, 3).astype(np.float32), "text": "abc", "empty": np.zeros((0, 3)),
    }  # fmt: skip
    path = tmp_path / "a.mat"
    matlab.savemat(path, arrays, do_compression=packed)
    wanted = matlab.loadmat(path)
    for name in ("LabelMap", "x", "s", "wide", "empty"):
        found = read_mat(path, name)
        assert found.dtype == wanted[name].dtype and np.array_equal(found, wanted[name])
    with pytest.raises(KeyError):
        read_mat(path, "y")
    with pytest.raises(ValueError, match="does not hold real numbers"):
        read_mat(path, "text")


def test_a_type_at_which_scipy_crashes_is_refused(tmp_path):
    path = tmp_path / "a.mat"
    pytest.importorskip("scipy.io").savemat(path, {"LabelMap": np.arange(24, dtype=np.uint16).reshape(4, 6)})
    data = path.read_bytes()
    place = data.index(b"LabelMap") + 8
    for kind, said in ((36, "real numbers"), (9, "says that its shape"), (4, "longer than the file")):
        changed = bytearray(data)
        changed[place] = kind
        changed[place + 6] = 8 * (kind == 4)
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=said):
            read_mat(path, "LabelMap")


def test_safetensors_whose_length_begins_as_a_pickle_are_no_pickle(tmp_path):
    """A header of 128 bytes: its length begins with 0x80, which is a pickle's first byte."""
    for pad in range(128):
        save_file({"x": torch.ones(2)}, tmp_path / "w.safetensors", metadata={"pad": "." * pad})
        if (tmp_path / "w.safetensors").read_bytes()[0] == 0x80:
            break
    assert (tmp_path / "w.safetensors").read_bytes()[0] == 0x80
    assert file_kind(tmp_path / "w.safetensors") == "safetensors"
    assert torch.equal(load_tensors(tmp_path / "w.safetensors")["x"], torch.ones(2))
