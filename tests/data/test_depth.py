"""Depth as it is stored: 16-bit PNGs, NYU's .mat with its splits, lists and folders, and what is wrong with them."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from clipkit.data.depth import DepthFiles, NyuMat, pair_depths, read_depth, read_list, save_depth
from clipkit.errors import ClipkitError

h5py = pytest.importorskip("h5py")


@pytest.fixture
def nyu(tmp_path):
    """Four pictures of 6 × 8 pixels laid out as MATLAB does it."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(4, 6, 8, 3), dtype=np.uint8)
    depths = rng.uniform(0.7, 9.9, size=(4, 6, 8)).astype(np.float32)
    with h5py.File(tmp_path / "nyu.mat", "w") as file:
        packed = dict(compression="gzip", shuffle=True)
        file.create_dataset("images", data=images.transpose(0, 3, 2, 1), chunks=(1, 3, 8, 6), **packed)
        file.create_dataset("depths", data=depths.transpose(0, 2, 1), chunks=(1, 8, 6), **packed)
    savemat(tmp_path / "splits.mat", {"trainNdxs": [[1], [3]], "testNdxs": [[2], [4]]})
    return tmp_path, images, depths


def test_nyu(nyu):
    folder, images, depths = nyu
    test = NyuMat(folder / "nyu.mat", folder / "splits.mat", "test")
    assert len(test) == 2 and [test.name(0), test.name(1)] == ["0001", "0003"]
    for index, place in enumerate((1, 3)):
        np.testing.assert_array_equal(test[index].image, images[place])
        np.testing.assert_array_equal(test[index].depth, depths[place])
    assert len(NyuMat(folder / "nyu.mat", split=None)) == 4


def test_nyu_that_is_none(nyu, tmp_path):
    folder, images, depths = nyu
    with h5py.File(folder / "turned.mat", "w") as file:
        file["images"], file["depths"] = images, depths
    with h5py.File(folder / "linked.mat", "w") as file:
        file["images"] = h5py.ExternalLink("nyu.mat", "images")
        file["depths"] = depths
    (folder / "text.mat").write_text("no HDF5")
    for name, said in (
        ("turned.mat", r"NYU Depth v2 has \(1449, 3, 640, 480\)"),
        ("linked.mat", 'no array "images" of its own'),
        ("text.mat", "no readable HDF5"),
    ):
        with pytest.raises(ClipkitError, match=said) as found:
            NyuMat(folder / name, split=None)
        assert str(folder / name) in str(found.value) and "\n" not in str(found.value)
    with pytest.raises(FileNotFoundError):
        NyuMat(folder / "gone.mat", split=None)
    with pytest.raises(ClipkitError, match="give splits="):
        NyuMat(folder / "nyu.mat")
    savemat(folder / "five.mat", {"trainNdxs": [[1]], "testNdxs": [[5]]})
    with pytest.raises(ClipkitError, match="from 1 to 4"):
        NyuMat(folder / "nyu.mat", folder / "five.mat", "test")
    savemat(folder / "other.mat", {"x": [[1]]})
    with pytest.raises(ClipkitError, match="no array testNdxs"):
        NyuMat(folder / "nyu.mat", folder / "other.mat", "test")


def test_hdf5_of_a_stranger(nyu):
    """Bytes of another file, a filter that HDF5 would load a library for, and more than the file explains."""
    folder, _, depths = nyu
    secret = folder / "secret"
    secret.write_bytes(bytes(1000))
    side = 20_000
    with h5py.File(folder / "outside.mat", "w") as file:
        file.create_dataset("images", (1, 3, 8, 6), np.uint8, external=[(str(secret), 0, 144)])
        file["depths"] = np.ones((1, 8, 6), np.float32)
    with h5py.File(folder / "lzf.mat", "w") as file:
        file.create_dataset("images", data=np.ones((4, 3, 8, 6), np.uint8), compression="lzf")
        file["depths"] = depths.transpose(0, 2, 1)
    with h5py.File(folder / "bomb.mat", "w") as file:
        file.create_dataset("images", (1, 3, side, side), np.uint8, chunks=(1, 3, side, side), compression="gzip")
        file.create_dataset("depths", (1, side, side), np.float32, chunks=(1, side, side), compression="gzip")
    for name in ("outside.mat", "lzf.mat"):
        with pytest.raises(ClipkitError, match="lies in other files, or is packed in an unknown way"):
            NyuMat(folder / name, split=None)
    with pytest.raises(ClipkitError, match="would grow to"):
        NyuMat(folder / "bomb.mat", split=None)[0]


def test_depth_pictures_are_whole_millimetres(tmp_path):
    metres = np.array([[0.0, 1.2344, 65.0], [np.nan, 99.0, np.inf]], np.float32)
    save_depth(metres, tmp_path / "d.png")
    np.testing.assert_array_equal(
        read_depth(tmp_path / "d.png"), np.float32([[0, 1234, 65000], [0, 65535, 0]]) / np.float32(1000)
    )
    np.testing.assert_allclose(read_depth(tmp_path / "d.png", 256)[0, 1], 1234 / 256)
    with Image.open(tmp_path / "d.png") as stored:
        assert stored.mode.startswith("I;16")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "eight.png")
    with pytest.raises(ClipkitError, match="needs 16 bits"):
        read_depth(tmp_path / "eight.png")


def _pair(folder, stem, size=(4, 5), depth_size=None):
    (folder / stem).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 7, np.uint8)).save(folder / f"{stem}.png")
    save_depth(np.full(depth_size or size, 2.5), folder / f"{stem}_d.png")


def test_lists(tmp_path):
    _pair(tmp_path, "kitchen/a")
    (tmp_path / "list.txt").write_text("/kitchen/a.png kitchen/a_d.png 518.8579\nkitchen/b.png None 518.8\n")
    photos = DepthFiles(read_list(tmp_path / "list.txt", tmp_path))
    assert len(photos) == 1 and photos.name(0) == "kitchen/a"
    assert (photos[0].depth == 2.5).all() and (photos[0].image == 7).all()
    for text, said in (("kitchen/a.png", "line 1"), ("../a.png b.png", "list.txt"), ("a.png None", "no pair")):
        (tmp_path / "list.txt").write_text(text)
        with pytest.raises(ClipkitError, match=said):
            read_list(tmp_path / "list.txt", tmp_path / "kitchen")


def test_folders(tmp_path):
    for stem, size in (("one", (4, 5)), ("two", (5, 4))):
        _pair(tmp_path / "all", stem, depth_size=size)
    for name in ("images", "depths"):
        (tmp_path / name).mkdir()
    for stem in ("one", "two"):
        (tmp_path / f"all/{stem}.png").rename(tmp_path / f"images/{stem}.png")
        (tmp_path / f"all/{stem}_d.png").rename(tmp_path / f"depths/{stem}.png")
    photos = DepthFiles(pair_depths(tmp_path / "images", tmp_path / "depths"))
    assert photos[0].depth.shape == (4, 5)
    with pytest.raises(ClipkitError, match=r"two.png: is 4 x 5 pixels"):
        photos[1]
    (tmp_path / "depths/two.png").unlink()
    with pytest.raises(ClipkitError, match="1 images without a depth picture"):
        pair_depths(tmp_path / "images", tmp_path / "depths")
