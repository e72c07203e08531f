"""Clouds of points from files: each format as it is written elsewhere, and bad ones."""

import struct

import numpy as np
import pytest

from clipkit.data.cloud_sets import CloudArray, CloudFolder, ModelNet40, ScanObjectNN
from clipkit.data.points import read_cloud, unit_sphere
from clipkit.errors import ClipkitError

h5py = pytest.importorskip("h5py")
POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, 0.25, -2]], np.float32)
ROWS = "".join(f"{x} {y} {z}\n" for x, y, z in POINTS)
PLY = (
    "ply\nformat {}\ncomment by hand\nelement vertex {}\nproperty float x\nproperty uchar red\nproperty float y\n"
    "property double z\n{}end_header\n"
)


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content)
    return path


@pytest.mark.parametrize(
    "head", ["OFF\n4 0 0\n", "OFF4 0 0\n", "# made by hand\nOFF 4 0 0\n", "OFF\n\n4 0 0 # three\n"]
)
def test_off_has_points(head, tmp_path):
    np.testing.assert_array_equal(read_cloud(write(tmp_path, "a.off", head + ROWS)), POINTS)


@pytest.mark.parametrize(
    "order, form", [("<", "binary_little_endian 1.0"), (">", "binary_big_endian 1.0"), ("", "ascii 1.0")]
)
def test_ply_has_points(order, form, tmp_path):
    head = PLY.format(form, len(POINTS), "").encode()
    if order:
        body = b"".join(struct.pack(f"{order}fBfd", x, 7, y, z) for x, y, z in POINTS)
    else:
        body = "".join(f"{x} 7 {y}\n{z} " for x, y, z in POINTS).encode()  # line breaks say nothing
    np.testing.assert_array_equal(read_cloud(write(tmp_path, "a.ply", head + body)), POINTS)


@pytest.mark.parametrize("order, form", [("<", "binary_little_endian 1.0"), ("", "ascii 1.0")])
def test_a_surface_is_sampled_evenly(order, form, tmp_path):
    """A square of two by one in a plane, written as one face of four corners."""
    corners = [(0, 0, 5), (2, 0, 5), (2, 1, 5), (0, 1, 5)]
    head = PLY.format(form, 4, "element face 1\nproperty list uchar int vertex_indices\n").encode()
    if order:
        body = b"".join(struct.pack(f"{order}fBfd", x, 7, y, z) for x, y, z in corners) + struct.pack(
            "<B4i", 4, 0, 1, 2, 3
        )
    else:
        body = "".join(f"{x} 7 {y} {z}\n" for x, y, z in corners).encode() + b"4 0 1 2 3\n"
    points = read_cloud(write(tmp_path, "a.ply", head + body), count=4000)
    assert points.shape == (4000, 3) and (points[:, 2] == 5).all()
    assert points.min(0).tolist()[:2] >= [0, 0] and (points[:, :2] <= [2, 1]).all()
    quarters = np.histogram2d(points[:, 0], points[:, 1], bins=(2, 2), range=((0, 2), (0, 1)))[0]
    assert abs(quarters - 1000).max() < 120  # of 27 each, more than four standard deviations
    np.testing.assert_array_equal(points, read_cloud(tmp_path / "a.ply", count=4000))


def test_faces_of_off_are_sampled(tmp_path):
    square = "OFF\n5 2 0\n" + ROWS + "0.0 3.0 0.0\n3 0 1 2 255 0 0\n3 0 1 2\n"
    points = read_cloud(write(tmp_path, "a.off", square), count=50)
    assert points.shape == (50, 3) and (points[:, 2] == 0).all() and (points[:, :2].sum(1) <= 1 + 1e-6).all()


def test_readers_agree_with_others(tmp_path):
    trimesh, plyfile = pytest.importorskip("trimesh"), pytest.importorskip("plyfile")
    box = trimesh.creation.box(extents=(1, 2, 3))
    for name in ("a.off", "a.ply"):
        box.export(tmp_path / name)
        low, high = (f(read_cloud(tmp_path / name, count=20000), 0) for f in (np.min, np.max))
        np.testing.assert_allclose([low, high], box.bounds, atol=2e-2)
    made = np.array([tuple(p) for p in POINTS], dtype=[("x", "f4"), ("y", "f4"), ("z", "f4")])
    for text in (True, False):
        plyfile.PlyData([plyfile.PlyElement.describe(made, "vertex")], text=text).write(tmp_path / "b.ply")
        np.testing.assert_array_equal(read_cloud(tmp_path / "b.ply"), POINTS)


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.xyz", ROWS),
        ("a.xyz", f"4\n{ROWS}"),
        ("a.txt", "\n".join(f"{x},{y},{z},0,0,1" for x, y, z in POINTS)),  # with normals
        ("a.csv", "x,y,z,label\n" + "\n".join(f"{x}, {y}, {z}, chair" for x, y, z in POINTS)),
        ("a.txt", f"# scanned\n{ROWS}"),
        ("a.csv", "\n".join(f"{x};{y};{z}" for x, y, z in POINTS)),
        ("a.pcd", "VERSION .7\nFIELDS rgb x y z\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nWIDTH 4\nPOINTS 4\n"
                  "DATA ascii\n" + "".join(f"9 {row}\n" for row in ROWS.splitlines())),
    ],
)  # fmt: skip
def test_tables_have_points(name, text, tmp_path):
    np.testing.assert_array_equal(read_cloud(write(tmp_path, name, text)), POINTS)


def test_binary_pcd_has_points(tmp_path):
    head = b"FIELDS x y z normal\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 3\nPOINTS 4\nDATA binary\n"
    body = b"".join(struct.pack("<6f", *p, 0, 0, 1) for p in POINTS)
    np.testing.assert_array_equal(read_cloud(write(tmp_path, "a.pcd", head + body)), POINTS)


def test_npy_has_points_and_what_a_scanner_did_not_see_is_left_out(tmp_path):
    rows = np.concatenate([POINTS, [[np.nan, 0, 0], [0, np.inf, 0], [1e300, 0, 0]]])
    np.save(tmp_path / "a.npy", np.hstack([rows, rows]))
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.npy"), POINTS)


BAD = {
    "a.off": ["", "FFO\n1 0 0\n0 0 0", "OFF\n9 0 0\n0 0 0", "OFF\n1 1 0\n0 0 0\n3 0 1 2", "OFF\n1 0 0\n0 x 0",
              "OFF\n-1 0 0",               "OFF\n1 1 0\n0 0 0\n9 0 0", "OFF\n0 0 0\n"],
    "a.ply": ["ply", "ply\nformat x 1.0\nend_header\n", PLY.format("ascii 1.0", 2, "") + "1 2 3 4 5",
              PLY.format("ascii 1.0", 10**12, ""), PLY.format("binary_little_endian 1.0", 2, "") + "1",
              PLY.format("ascii 1.0", 1, "element face 1\nproperty list uchar int vertex_index\n") + "1 2 3 4 3 0 0 9",
              "ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar int x\nend_header\n1 1"],
    "a.xyz": ["", "1 2\n", "1 2 3\n1 x 3\n", "nan nan nan\n", "a b c\nd e f\n"],
    "a.npy": ["", "x"],
    "a.pcd": ["", "DATA ascii\n1 2 3", "FIELDS x y\nSIZE 4 4\nTYPE F F\nPOINTS 1\nDATA ascii\n1 2",
              "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nPOINTS 9\nDATA binary\n1",
              "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nPOINTS 1\nDATA binary_compressed\n1"],
    "a.obj": ["v 0 0 0"],
}  # fmt: skip


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in BAD.items() for text in texts])
def test_bad_files_are_one_line_with_their_name(name, text, tmp_path):
    with pytest.raises(ClipkitError) as error:
        read_cloud(write(tmp_path, name, text))
    assert name in str(error.value) and "\n" not in str(error.value)


def test_python_objects_are_not_read(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[print, print, print]]), allow_pickle=True)
    with pytest.raises(ClipkitError, match="numbers"):
        read_cloud(tmp_path / "a.npy")


def test_a_length_that_no_array_has(tmp_path):
    np.save(tmp_path / "a.npy", POINTS)
    content = (tmp_path / "a.npy").read_bytes()
    longer = content.replace(b"(%d, 3), }%s" % (len(POINTS), b" " * 18), b"(%s, 3), }" % (b"9" * 19))
    assert longer != content and len(longer) == len(content)
    (tmp_path / "a.npy").write_bytes(longer)
    with pytest.raises(ClipkitError, match=r"a\.npy: is no \.npy file"):
        read_cloud(tmp_path / "a.npy")


def test_the_unit_sphere():
    points = unit_sphere(POINTS * 100 + 7)
    np.testing.assert_allclose(points.mean(0), 0, atol=1e-6)
    assert np.linalg.norm(points, axis=1).max() == pytest.approx(1)
    assert unit_sphere(np.ones((3, 3))).tolist() == [[0, 0, 0]] * 3


# -- sets -------------------------------------------------------------------------------------------------------------


def h5(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def clouds(count=3, points=5):
    return np.sin(np.arange(count * points * 3, dtype=np.float32)).reshape(count, points, 3)


def test_modelnet40_by_its_lists(tmp_path):
    (tmp_path / "shape_names.txt").write_text("airplane\nflower_pot\n")
    (tmp_path / "train_files.txt").write_text(
        "data/modelnet40_ply_hdf5_2048/a.h5\ndata/modelnet40_ply_hdf5_2048/b.h5\n"
    )
    h5(tmp_path / "a.h5", data=clouds(), label=np.array([[0], [1], [1]], np.uint8))
    h5(tmp_path / "b.h5", data=clouds(1), label=np.array([[0]], np.uint8), normal=clouds(1))
    found = ModelNet40(tmp_path)
    assert found.names == ("airplane", "flower pot") and found.labels.tolist() == [0, 1, 1, 0]
    np.testing.assert_array_equal(found.read(2), clouds()[2])
    assert len({found.identify(i) for i in range(4)}) == 4
    (tmp_path / "b.h5").unlink()
    with pytest.raises(ClipkitError, match=r"train_files.txt: line 2: 'b.h5'"):
        ModelNet40(tmp_path)
    h5(tmp_path / "b.h5", data=clouds(1), label=np.array([[2]], np.uint8))
    with pytest.raises(ClipkitError, match="labels outside"):
        ModelNet40(tmp_path)


def test_scanobjectnn_with_and_without_background(tmp_path):
    mask = np.array([[-1, 0, 0, 0, -1], [0] * 5, [3] * 5])
    file = h5(tmp_path / "s.h5", data=clouds(), label=np.array([0, 4, 14]), mask=mask)
    found = ScanObjectNN(file)
    assert found.names[found.labels[1]] == "chair" and len(found.names) == 15 and len(found.read(0)) == 5
    np.testing.assert_array_equal(ScanObjectNN(file, background=False).read(0), clouds()[0, 1:4])
    file = h5(tmp_path / "n.h5", data=clouds(), label=np.array([0, 4, 14]))
    with pytest.raises(ClipkitError, match='no array "mask"'):
        ScanObjectNN(file, background=False)


@pytest.mark.parametrize(
    "arrays",
    [
        dict(data=clouds()),
        dict(data=clouds()[0], label=np.zeros(5, int)),
        dict(data=clouds(), label=np.zeros(2, int)),
        dict(data=clouds(), label=np.zeros(3)),
        dict(data=clouds() * np.nan, label=np.zeros(3, int)),
        dict(data=np.array([b"x"] * 3), label=np.zeros(3, int)),
    ],
)
def test_other_h5_files_are_refused(arrays, tmp_path):
    with pytest.raises(ClipkitError, match=r"s\.h5"):
        ScanObjectNN(h5(tmp_path / "s.h5", **arrays))


def test_an_h5_file_names_no_other_file(tmp_path):
    h5(tmp_path / "secret.h5", data=clouds())
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["label"], file["data"] = np.zeros(3, int), h5py.ExternalLink("secret.h5", "/data")
    with pytest.raises(ClipkitError, match='no array "data"'):
        ScanObjectNN(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "w") as file:  # of a terabyte, in no bytes
        file["label"] = np.zeros(3, int)
        file.create_dataset("data", (3, 10**11, 3), "f4", chunks=(1, 1024, 3))
    with pytest.raises(ClipkitError, match="CLIPKIT_SIZE_FACTOR"):
        ScanObjectNN(tmp_path / "s.h5")


def test_a_folder_a_class(tmp_path):
    for name in ("a_chair/train/1.off", "a_chair/test/2.off", "bed/train/3.xyz", "bed/test/4.xyz", "bed/test/notes.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"OFF\n4 0 0\n{ROWS}" if path.suffix == ".off" else ROWS)
    found = CloudFolder(tmp_path)
    assert found.names == ("a chair", "bed") and found.labels.tolist() == [0, 0, 1, 1]
    own = CloudFolder(tmp_path, split="test", names=["chair", "bed"])
    assert own.names == ("chair", "bed") and [path.name for path in own.paths] == ["2.off", "4.xyz"]
    np.testing.assert_array_equal(own.take([1]).read(0), POINTS)
    with pytest.raises(ClipkitError, match="no clouds"):
        CloudFolder(tmp_path, split="val")
    with pytest.raises(ClipkitError, match="labels"):
        CloudArray([POINTS], [1], ["chair"])
