import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clipkit.text import TextEmbeddings, load_embeddings, save_embeddings

FILES = ("coco", "lvis_v1", "o365", "oid")


def test_real_clip_vectors_of_four_data_sets_agree_on_cat(data_root):
    rows = {}
    for name in FILES:
        found = load_embeddings(data_root / "clip_text" / f"{name}_vitb32_a.npy")
        assert found.matrix.dtype == torch.float32 and found.matrix.shape == (len(found.names), 512)
        torch.testing.assert_close(found.matrix.norm(dim=1), torch.ones(len(found)))
        assert found.info["normalised"] is False
        lowered = [n.lower() for n in found.names]
        rows[name] = found.matrix[lowered.index("cat")]
        assert found.matrix[lowered.index("dog")] @ rows[name] < 0.95
    for one in FILES:
        for two in FILES:
            assert rows[one] @ rows[two] > 0.999, (one, two)


@pytest.fixture
def matrix():
    return np.random.default_rng(0).normal(size=(3, 8)).astype(np.float16)


NAMES = ["b", "a", "c d"]


def check(found, matrix):
    unit = matrix.astype(np.float64) / np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    assert found.names == tuple(NAMES)
    np.testing.assert_allclose(found.matrix.numpy(), unit, atol=1e-6)


def test_all_formats_and_all_places_for_the_names(tmp_path, matrix):
    path = tmp_path / "x.npy"
    np.save(path, matrix)
    (tmp_path / "x.txt").write_text("b\na\nc d\n")
    check(load_embeddings(path), matrix)
    (tmp_path / "x.json").write_text(json.dumps({"names": NAMES, "model": "m"}))
    assert load_embeddings(str(path)).info == {"model": "m"}
    (tmp_path / "list.json").write_text(json.dumps(NAMES))
    check(load_embeddings(path, tmp_path / "list.json"), matrix)
    np.savez(tmp_path / "y.npz", embeddings=matrix.astype(np.float64), names=np.array(NAMES), scale=np.ones(1))
    check(load_embeddings(tmp_path / "y.npz"), matrix)
    tensors = {"weight": torch.from_numpy(matrix)}
    save_file(tensors, tmp_path / "z.safetensors", metadata={"names": json.dumps(NAMES)})
    check(load_embeddings(tmp_path / "z.safetensors"), matrix)
    save_file({"weight": tensors["weight"].bfloat16()}, tmp_path / "x.safetensors")
    assert load_embeddings(tmp_path / "x.safetensors").matrix.dtype == torch.float32


def test_repeated_names_are_accepted_as_they_are(tmp_path, matrix):
    np.save(tmp_path / "x.npy", matrix)
    (tmp_path / "x.txt").write_text("mouse\nMouse\nmouse\n")
    assert load_embeddings(tmp_path / "x.npy").names == ("mouse", "Mouse", "mouse")


def test_save_and_load(tmp_path):
    rows = torch.nn.functional.normalize(torch.randn(2, 4), dim=1)
    save_embeddings(TextEmbeddings(["ö", "a, b"], rows), tmp_path / "x.safetensors")
    found = load_embeddings(tmp_path / "x.safetensors")
    assert found.names == ("ö", "a, b")
    torch.testing.assert_close(found.matrix, rows)
    with pytest.raises(ValueError, match=r"x\.npy: embeddings are written as \.safetensors"):
        save_embeddings(found, tmp_path / "x.npy")
    with pytest.raises(ValueError, match="2 rows for 1 names"):
        save_embeddings(TextEmbeddings(["a"], rows, torch.tensor([0, 0])), tmp_path / "y.safetensors")


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


# A header that promises 400 TB.
HUGE = (
    b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 99999), }".ljust(127) + b"\n"
)


def write(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".npy":
        np.save(path, content, allow_pickle=True)
    elif path.suffix == ".npz":
        np.savez(path, **content)
    else:
        save_file(content, path)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("x.npy", np.array([Bomb()], dtype=object), "pickled Python objects, which are never loaded"),
        ("x.npy", pickle.dumps(Bomb()), "never loaded"),
        ("x.npy", b"", "cannot be read"),
        ("x.npy", b"\x93NUMPY\x01\x00\x10\x00nonsense", "cannot be read"),
        ("x.npy", HUGE, "cannot be read"),
        ("x.npy", np.ones((3, 8), dtype=int), "holds int64, expected floats"),
        ("x.npy", np.ones(3), r"has shape \(3,\), expected \(N, D\)"),
        ("x.npy", np.ones((2, 8)), "has 2 rows for 3 names"),
        ("x.npy", np.ones((8, 3)), "looks transposed"),
        ("x.npy", np.eye(3, 8) - np.eye(3, 8)[[1]] * np.eye(3)[:, [1]], "row 1 .'a'. is zero or not finite"),
        ("x.npy", np.full((3, 8), np.nan), "row 0 .'b'. is zero or not finite"),
        ("x.npz", {"one": np.ones((3, 8)), "two": np.ones((3, 8))}, "call the matrix 'embeddings'"),
        ("x.npz", {"embeddings": np.array([Bomb()], dtype=object)}, "pickled Python objects"),
        ("x.npz", b"PK\x03\x04 cut", "cannot be read"),
        ("x.safetensors", b"\xff" * 40, "cannot be read"),
        ("x.safetensors", {"a": torch.ones(3, 8, dtype=torch.int8)}, "holds torch.int8, expected floats"),
        ("x.pt", pickle.dumps(Bomb()), "embeddings are read from .npy, .npz or .safetensors"),
    ],
)  # fmt: skip
def test_bad_files_are_one_line_with_their_name_and_nothing_runs(tmp_path, name, content, line):
    write(tmp_path / name, content)
    (tmp_path / "names.json").write_text(json.dumps(NAMES))
    with pytest.raises(ValueError, match=line) as caught:
        load_embeddings(tmp_path / name, tmp_path / "names.json")
    assert str(caught.value).startswith(str(tmp_path / name)) and "\n" not in str(caught.value)


def test_bad_names_are_named(tmp_path, matrix):
    np.save(tmp_path / "x.npy", matrix)
    with pytest.raises(FileNotFoundError, match=r"has no names; put x\.json or x\.txt beside it"):
        load_embeddings(tmp_path / "x.npy")
    with pytest.raises(FileNotFoundError, match=r"absent\.json: no such file"):
        load_embeddings(tmp_path / "x.npy", tmp_path / "absent.json")
    with pytest.raises(FileNotFoundError, match=r"absent\.npy: no such file"):
        load_embeddings(tmp_path / "absent.npy")
    for content, line in (("{", "is not JSON"), ('{"name": []}', "expected a list of names"), ("[1]", "list of names")):
        (tmp_path / "x.json").write_text(content)
        with pytest.raises(ValueError, match=line) as caught:
            load_embeddings(tmp_path / "x.npy")
        assert "x.json" in str(caught.value)
