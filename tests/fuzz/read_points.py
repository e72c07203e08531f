"""Rows: clouds of points, each format, sets in HDF5, adapters of PointCLIP."""

import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from clipkit_plugins.pointclip import convert
from clipkit_plugins.pointclip.adapter import InterViewAdapter

from clipkit.convert.checkpoints import convert_file, read_state
from clipkit.data.cloud_sets import CloudFolder, ModelNet40, ScanObjectNN
from clipkit.data.points import read_cloud
from fuzz.table import Reader, inner, only

POINTS = np.sin(np.arange(18, dtype=np.float32)).reshape(6, 3)
ROWS = "\n".join(" ".join(map(str, row)) for row in POINTS.tolist())
PLY = "ply\nformat {} 1.0\nelement vertex 6\nproperty float x\nproperty float y\nproperty float z\nelement face 2\n" \
      "property list uchar int vertex_indices\nend_header\n"  # fmt: skip
PCD = "# .PCD v0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 6\nHEIGHT 1\nPOINTS 6\nDATA {}\n"


def _clouds(root: Path) -> None:
    faces = b"".join(struct.pack("<B3i", 3, *face) for face in ((0, 1, 2), (3, 4, 5)))
    seeds = {
        "a.off": f"OFF\n6 2 0\n{ROWS}\n3 0 1 2\n4 0 3 4 5 255 0 0\n", "joined.off": f"OFF6 1 0\n{ROWS}\n3 0 1 2\n",
        "ascii.ply": f"{PLY.format('ascii')}{ROWS}\n3 0 1 2\n3 3 4 5\n",
        "little.ply": PLY.format("binary_little_endian").encode() + POINTS.tobytes() + faces,
        "ascii.pcd": PCD.format("ascii") + ROWS, "binary.pcd": PCD.format("binary").encode() + POINTS.tobytes(),
        "a.xyz": ROWS, "a.csv": "x,y,z\n" + ROWS.replace(" ", ","), "a.txt": ROWS.replace(" ", ";"),
    }  # fmt: skip
    for name, content in seeds.items():
        (root / name).mkdir()
        (root / name / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (root / "npy").mkdir()
    np.save(root / "npy/a.npy", POINTS)


def _read_cloud(folder: Path) -> Any:
    return read_cloud(only(folder), count=8)


def _sets(root: Path) -> None:
    for name in ("modelnet", "scans", "folder"):
        (root / name / name).mkdir(parents=True)
    clouds, labels = np.stack([POINTS, POINTS]), np.array([[0], [1]], np.uint8)
    (root / "modelnet/modelnet/shape_names.txt").write_text("chair\nflower_pot\n")
    (root / "modelnet/modelnet/train_files.txt").write_text("data/a.h5\n")
    for path in (root / "modelnet/modelnet/a.h5", root / "scans/scans/a.h5"):
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=clouds, compression="gzip")
            file["label"], file["mask"] = labels, np.zeros((2, 6), np.int64)
    for name in "ab":
        (root / "folder/folder" / name).mkdir()
        (root / "folder/folder" / name / "0.xyz").write_text(ROWS)


def _read_set(folder: Path) -> Any:
    place = inner(folder)
    if place.name == "scans":
        found: Any = ScanObjectNN(only(place), background=False)
    else:
        found = ModelNet40(place) if place.name == "modelnet" else CloudFolder(place)
    return found.names, found.labels, [found.read(i) for i in range(len(found))]


def _adapters(root: Path) -> None:
    (root / "adapter").mkdir()
    state = convert(InterViewAdapter(4, 3).state_dict(prefix="adapter."), reverse=True).state
    torch.save({"state_dict": state, "epoch": 7}, root / "adapter/model-best.pth.tar")


def _read_adapter(folder: Path) -> Any:
    target = folder.with_name("adapter.pth")
    target.unlink(missing_ok=True)
    convert_file("pointclip", only(folder), target)
    return read_state(target)


READERS = [
    Reader("clouds", _clouds, _read_cloud, share=3),
    Reader("sets of clouds", _sets, _read_set, share=2),
    Reader("adapters of PointCLIP", _adapters, _read_adapter),
]
