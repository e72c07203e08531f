"""Pictures and masks from strangers: right values, and one line for whatever is wrong."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from clipkit.data import list_images, pair_folders, read_image, read_mask
from clipkit.errors import ClipkitError


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


RGB = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
IDS = np.arange(24, dtype=np.uint8).reshape(4, 6) % 3


def test_image_kinds(tmp_path):
    assert (read_image(save(tmp_path / "a.png", RGB)) == RGB).all()
    grey = read_image(save(tmp_path / "g.png", IDS))
    assert grey.shape == (4, 6, 3) and (grey == IDS[..., None]).all()
    alpha = np.dstack([RGB, np.full((4, 6), 7, np.uint8)])
    assert (read_image(save(tmp_path / "t.png", alpha)) == RGB).all()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    assert read_image(tmp_path / "turned.png").shape == (6, 4, 3)
    for turn in range(1, 9):
        exif[0x0112] = turn
        Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
        with Image.open(tmp_path / "turned.png") as opened:
            assert np.array_equal(read_image(tmp_path / "turned.png"), np.asarray(ImageOps.exif_transpose(opened)))


def test_more_than_eight_bits_are_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(2, 0)
    for name in ("deep.png", "deep.tif"):
        found = read_image(save(tmp_path / name, ramp))
        assert (found == (ramp >> 8)[..., None]).all() and found.dtype == np.uint8
    for number, dtype in enumerate((np.float32, np.int32)):
        with pytest.raises(ClipkitError, match=r"tif: its pixels are 32-bit numbers"):
            read_image(save(tmp_path / f"{number}.tif", ramp.astype(dtype)))


def test_broken_exif_does_not_end_reading(tmp_path):
    # Orientation 6, and a text where a number belongs, which Pillow cannot write again.
    entries = [(0x0103, 2, 4, 0x636261), (0x0112, 3, 1, 6), (0x8825, 4, 1, 2**31)]
    head = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries))
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries) + struct.pack("<I", 0)
    for name, exif in {"turned": head + body, "cut": head + body[:14], "odd": b"Exif\0\0II*\0\xff\xff"}.items():
        Image.fromarray(RGB).save(tmp_path / f"{name}.jpg", exif=exif)
        assert read_image(tmp_path / f"{name}.jpg").shape in ((6, 4, 3), (4, 6, 3))
    assert read_image(tmp_path / "turned.jpg").shape == (6, 4, 3)


def test_mask_kinds(tmp_path):
    palette = Image.fromarray(IDS, mode="P")
    palette.putpalette([9, 8, 7] * 256)
    palette.save(tmp_path / "p.png")
    assert (read_mask(tmp_path / "p.png") == IDS).all()
    assert (read_mask(save(tmp_path / "g.png", IDS)) == IDS).all()
    assert (read_mask(save(tmp_path / "w.png", (IDS.astype(np.uint16) + 300))) == IDS.astype(int) + 300).all()
    with pytest.raises(ClipkitError, match=r"c\.png: the mask is in colours \(mode RGB\)"):
        read_mask(save(tmp_path / "c.png", RGB))


def test_unreadable_files(tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    whole = save(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:2000])
    for name in ("text.jpg", "empty.png", "cut.png"):
        with pytest.raises(ClipkitError, match=name) as error:
            read_image(tmp_path / name)
        assert "\n" not in str(error.value)
        with pytest.raises(ClipkitError, match="not a readable mask"):
            read_mask(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no such image"):
        read_image(tmp_path / "none.png")


def test_list_images(tmp_path):
    for name in ("b/2.png", "b/1.JPG", "b/deep/3.png"):
        save(tmp_path / name, RGB)
    (tmp_path / "b" / "notes.txt").write_text("x")
    names = [p.name for p in list_images([tmp_path / "b" / "2.png", tmp_path / "b"])]
    assert names == ["2.png", "1.JPG", "2.png", "3.png"]
    (tmp_path / "void").mkdir()
    for missing in ("void", "nowhere"):
        with pytest.raises(FileNotFoundError, match=missing):
            list_images([tmp_path / missing])


def test_pairs_count_and_name_what_is_wrong(tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    for stem in ("good", "sub/deep", "alone", "colour", "small", "badid", "ignored"):
        save(images / f"{stem}.png", RGB)
    for stem in ("good", "sub/deep", "orphan"):
        save(masks / f"{stem}.png", IDS)
    save(masks / "colour.png", RGB)
    save(masks / "small.png", IDS[:2])
    save(masks / "badid.png", IDS + np.uint8(5))
    save(masks / "ignored.png", np.full_like(IDS, 255))
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = save(images / "cut.jpg", noise, quality=95)
    whole.write_bytes(whole.read_bytes()[:1500])
    save(masks / "cut.png", np.zeros((64, 64), np.uint8))
    pairs = pair_folders(images, masks, num_classes=3)
    assert [image.stem for image, _ in pairs.good] == ["good", "ignored", "deep"]
    text = pairs.summary()
    for part in (
        "1 images without a mask: alone.png",
        "1 masks without an image: orphan.png",
        "1 unreadable images: cut.jpg",
        "1 masks of another size than their image: small.png",
        "masks in colours instead of class ids",
        "(0..2, or 255 for ignored): badid.png (5, 6, 7)",
    ):
        assert part in text
    assert "\n" not in text
    assert len(pair_folders(images, masks, check=False).good) == 7


@pytest.mark.parametrize("orientation", [3, 6])
def test_masks_belong_to_upright_pictures(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[:20, :30] = 255
    for stem in ("shown", "stored"):
        save(tmp_path / "i" / f"{stem}.jpg", stored, exif=exif, quality=95)
    upright = np.asarray(read_image(tmp_path / "i/shown.jpg").mean(2) > 128, np.uint8)
    save(tmp_path / "m" / "shown.png", upright)
    save(tmp_path / "m" / "stored.png", np.asarray(stored[..., 0] > 128, np.uint8))
    pairs = pair_folders(tmp_path / "i", tmp_path / "m")
    if orientation == 6:  # the sizes tell
        assert [image.stem for image, _ in pairs.good] == ["shown"]
        assert pairs.summary() == "1 masks that are not turned as their image is by its EXIF: stored.png"
    else:
        assert len(pairs.good) == 2 and not pairs.problems
    assert pairs.turned == [image for image, _ in pairs.good]


def test_pairs_whose_accents_are_spelled_in_two_ways(tmp_path):
    save(tmp_path / "i" / "caf\u00e9.jpg", RGB)
    save(tmp_path / "m" / "cafe\u0301.png", IDS)
    pairs = pair_folders(tmp_path / "i", tmp_path / "m")
    assert len(pairs.good) == 1 and not pairs.problems


def test_pairs_with_a_suffix_and_missing_folders(tmp_path):
    save(tmp_path / "i" / "x.jpg", RGB)
    save(tmp_path / "m" / "x_mask.png", IDS)
    for suffix in ("_mask", "_mask.png"):  # the second as in mmseg's seg_map_suffix
        assert len(pair_folders(tmp_path / "i", tmp_path / "m", suffix).good) == 1
    with pytest.raises(FileNotFoundError, match="no such folder of masks"):
        pair_folders(tmp_path / "i", tmp_path / "nowhere")
    (tmp_path / "void").mkdir()
    with pytest.raises(FileNotFoundError, match="no images in this folder"):
        pair_folders(tmp_path / "void", tmp_path / "m")
