"""What a file may take follows from its size: small files that claim, hide or make gigabytes are one line, and cost
none of them. The limits are tried at a small allowance, so that what must be refused would fit into any machine."""

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from clipkit.backbone._checked_config import check_sizes
from clipkit.backbone._load_torchscript import read_torchscript
from clipkit.data.images import read_image
from clipkit.data.proposals import read_proposals
from clipkit.errors import ClipkitError
from clipkit.safe import OverBudget, allowance, check_mat, load_plain_pickle, load_tensors, open_npz, open_picture
from clipkit.text import load_embeddings


@pytest.fixture
def small(monkeypatch):
    """1 MiB for a small file instead of 256."""
    monkeypatch.setenv("CLIPKIT_SIZE_FACTOR", str(1 / 32))
    assert allowance(10) == 1 << 20


def refused(read, path, said="CLIPKIT_SIZE_FACTOR"):
    with pytest.raises((ClipkitError, ValueError)) as error:
        read(path)
    text = str(error.value)
    assert str(path) in text and said in text and "\n" not in text and len(text) < 400, text
    return text


def test_the_allowance_is_a_factor_that_the_line_names_and_the_environment_sets(tmp_path, monkeypatch):
    path = tmp_path / "e.npz"
    np.savez_compressed(path, embeddings=np.zeros((4, 100_000), np.float32) + 1, names=["a", "b", "c", "d"])
    assert len(load_embeddings(path)) == 4
    monkeypatch.setenv("CLIPKIT_SIZE_FACTOR", "0.01")
    line = refused(load_embeddings, path)
    needed = line.partition("CLIPKIT_SIZE_FACTOR=")[2].split()[0]
    monkeypatch.setenv("CLIPKIT_SIZE_FACTOR", needed)
    assert len(load_embeddings(path)) == 4
    monkeypatch.setenv("CLIPKIT_SIZE_FACTOR", "lots")
    with pytest.raises(ClipkitError, match="positive number"):
        load_embeddings(path)


# ---- zip archives


def deflated(source, target):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return target


def test_members_that_inflate(tmp_path, small):
    torch.save({"visual.proj": torch.zeros(1 << 20)}, tmp_path / "w.pt")
    refused(load_tensors, deflated(tmp_path / "w.pt", tmp_path / "bomb.pt"))
    np.savez_compressed(tmp_path / "p.npz", names=["a"], counts=[1 << 18], boxes=np.zeros((1 << 18, 4)))
    refused(read_proposals, tmp_path / "p.npz")


def test_a_member_twice_or_with_two_sizes(tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"visual.proj": torch.zeros(4)}, path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"x")
    refused(load_tensors, path, "twice")
    torch.save({"visual.proj": torch.zeros(4)}, path)
    data = path.read_bytes()
    place = data.rindex(b"PK\x01\x02")  # the last entry of the contents: its size grows, its stored size stays
    path.write_bytes(data[: place + 24] + struct.pack("<I", 1 << 30) + data[place + 28 :])
    refused(load_tensors, path, "two sizes")


def npy(shape, descr="<f4", data=b""):
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "member", [npy((1 << 40,)), npy((1 << 40,), "<U0"), npy((1 << 20, 1 << 20, 4), "<f8", b"1234")]
)
def test_headers_of_arrays_that_lie(tmp_path, member):
    path = tmp_path / "e.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("embeddings.npy", member)
    refused(load_embeddings, path, "says it has")
    with pytest.raises(ValueError, match="says it has"), open_npz(path):
        pass
    (tmp_path / "e.npy").write_bytes(member)
    refused(load_embeddings, tmp_path / "e.npy", "")


# ---- pickles


def long_put(index):
    return b"\x80\x02}r" + index.to_bytes(4, "little") + b"."


BOMBS = {
    "an index of the memo": long_put(160_000_000),
    "an index as text": b"\x80\x02}p160000000\n.",
    "a frame": b"\x80\x04\x95" + (1 << 40).to_bytes(8, "little") + b"}.",
    "text": b"\x80\x04\x8d" + (1 << 40).to_bytes(8, "little") + b"x.",
    "bytes": b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"x.",
    "a byte array": b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"x.",
    "a number": b"\x80\x02\x8b" + (1 << 30).to_bytes(4, "little") + b"x.",
    "no end": b"\x80\x02}",
}


@pytest.mark.parametrize("what", BOMBS)
def test_pickles_that_state_sizes(tmp_path, what):
    path = tmp_path / "raw-captions.pkl"
    path.write_bytes(BOMBS[what])
    refused(load_plain_pickle, path, "not a pickle of plain lists")
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", BOMBS[what])
    refused(load_tensors, path, "damaged")
    path.write_bytes(BOMBS[what])
    refused(load_tensors, path, "damaged")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", BOMBS[what])
        archive.writestr("a/constants.pkl", b"x")
    refused(read_torchscript, path, "damaged")


def test_pickles_of_many_empty_objects(tmp_path, small):
    path = tmp_path / "raw-captions.pkl"
    path.write_bytes(b"\x80\x04(" + b"\x8f" * 100_000 + b"l.")
    refused(load_plain_pickle, path)
    value = {f"video{i}": [["a", "cat"], ["a", "dog"]] for i in range(100)}
    for protocol in range(6):
        path.write_bytes(pickle.dumps(value, protocol))
        assert load_plain_pickle(path) == value


def saved(path, content, legacy=False):
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_that_repeat_what_is_stored(tmp_path, small, legacy):
    one = torch.zeros(1)
    refused(load_tensors, saved(tmp_path / "w.pt", {"visual.proj": one.expand(1 << 30)}, legacy))
    base = torch.zeros(64, 64)
    refused(load_tensors, saved(tmp_path / "w.pt", {f"visual.{i}": base.T for i in range(100)}, legacy))
    tied = {"visual.a": base, "visual.b": base, "half": base.half(), "n": 3, "size": base.shape, "dtype": torch.float16}
    found = load_tensors(saved(tmp_path / "w.pt", {**tied, "parameter": torch.nn.Parameter(base)}, legacy))
    assert found["visual.b"].shape == (64, 64) and found["size"] == (64, 64) and found["dtype"] is torch.float16


def test_what_makes_itself_large(tmp_path):
    def called(name, *numbers):
        module, _, last = name.rpartition(".")
        arguments = b"".join(b"J" + struct.pack("<i", n) for n in numbers)
        return b"\x80\x02}X\x01\0\0\0xc" + f"{module}\n{last}\n".encode() + b"(" + arguments + b"tRs."

    for name in ("builtins.bytearray", "__builtin__.bytearray", "torch.Tensor", "torch.FloatTensor"):
        path = tmp_path / "w.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", called(name, 1 << 30))
        refused(load_tensors, path, "")


def test_a_legacy_file_whose_tensors_are_larger_than_it(tmp_path):
    path = saved(tmp_path / "w.pt", {"visual.proj": torch.zeros(12345)}, legacy=True)
    path.write_bytes(path.read_bytes().replace(b"M90", b"J" + (3 << 28).to_bytes(4, "little")))
    refused(load_tensors, path, "larger than the file")


def test_checkpoints_are_looked_at_alike(tmp_path, small):
    pytest.importorskip("mmengine")
    from clipkit.engine.checkpoint import _load_pretrained, load_checkpoint

    path = saved(tmp_path / "w.pth", {"state_dict": {"w": torch.zeros(1).expand(1 << 30)}})
    for read in (load_checkpoint, _load_pretrained):
        refused(read, path)


def test_modules_that_hold_one_another_many_times(tmp_path):
    """Thirty modules, each with two fields that are the same next one: two to the power of thirty paths."""
    out = io.BytesIO()
    out.write(b"\x80\x02")
    new = b"c__torch__.M\nM\n)\x81"
    out.write(new + b"}b")
    for _ in range(30):
        out.write(b"q\x010" + new + b"}(X\x01\0\0\0ah\x01X\x01\0\0\0bh\x01ub")
    out.write(b".")
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", out.getvalue())
        archive.writestr("a/constants.pkl", b"\x80\x02).")
    refused(read_torchscript, path, "nested without end")


# ---- safetensors


def header(entries, data=b"", length=None):
    text = json.dumps(entries).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "data",
    [
        header({"visual.a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"1234", length=1 << 60),
        header({"visual.a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"1234", length=90_000_000),
        header({"visual.a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}, b"1234"),
        header({"visual.a": {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 4]}}, b"1234"),
        header({k: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for k in ("visual.a", "visual.b")}, b"1234"),
        header({"visual.a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"1234"),
    ],
)
def test_safetensors_headers_that_lie(tmp_path, data):
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    refused(load_tensors, path, "")


# ---- pictures


def png(width, height, *chunks):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    first = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(b"\0" * min(height * (3 * width + 1), 1 << 20)))
    return b"\x89PNG\r\n\x1a\n" + first + b"".join(chunk(*c) for c in chunks) + rows + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("error")
def test_pictures_that_decode_to_gigabytes(tmp_path):
    path = tmp_path / "a.png"
    for width, height, said in (
        (9500, 9500, "its pixels"),
        (1 << 20, 90, "its pixels"),
        (60_000, 60_000, "more pixels"),
    ):
        path.write_bytes(png(width, height))
        refused(read_image, path, said)
    path.write_bytes(png(60, 60))
    assert read_image(path).shape == (60, 60, 3)


def test_opencv_decodes_no_more_than_pillow(tmp_path):
    """mmcv's pipelines read with it; its own limit is six times as high."""
    pytest.importorskip("cv2")
    (tmp_path / "a.png").write_bytes(png(16_000, 16_000))
    code = "import clipkit, cv2, sys\ntry: cv2.imread(sys.argv[1])\nexcept cv2.error as error: print(error)"
    command = [sys.executable, "-c", code, str(tmp_path / "a.png")]
    assert "PIXELS" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_text_in_pictures_that_inflates(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(60, 60, (b"zTXt", b"k\0\0" + zlib.compress(bytes(64 << 20)))))
    refused(read_image, path, "not a readable image")


def test_of_many_frames_the_first_is_read(tmp_path):
    frames = [Image.new("L", (8, 8), shade) for shade in range(100)]
    for name in ("a.gif", "a.tiff"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert (read_image(tmp_path / name) == 0).all()


def test_an_open_file_is_measured_too(small):
    data = io.BytesIO()
    Image.new("RGB", (1000, 1000)).save(data, "png")
    with pytest.raises(OverBudget), open_picture(data):
        pass


# ---- MATLAB, configurations


def test_matlab_elements_that_inflate(tmp_path, small):
    path = tmp_path / "a.mat"
    element = zlib.compress(bytes(8 << 20))
    path.write_bytes(bytes(126) + b"IM" + struct.pack("<II", 15, len(element)) + element)
    refused(check_mat, path)
    element = zlib.compress(bytes(1000))
    path.write_bytes(bytes(126) + b"IM" + struct.pack("<II", 15, len(element)) + element)
    check_mat(path)


VISION = {"layers": 2, "width": 64, "head_width": 32, "patch_size": 8, "image_size": 32}
TEXT = {"context_length": 12, "vocab_size": 60, "width": 32, "heads": 2, "layers": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"vision_cfg": {"layers": 100_000}},
        {"vision_cfg": {"layers": [10_000, 1, 1, 1]}},
        {"vision_cfg": {"width": 1 << 20}},
        {"vision_cfg": {"image_size": 1 << 20}},
        {"vision_cfg": {"image_size": [1 << 20, 8]}},
        {"vision_cfg": {"patch_size": 1 << 20}},
        {"vision_cfg": {"mlp_ratio": 1e5}},
        {"vision_cfg": {"attentional_pool": True, "attn_pooler_queries": 1 << 30}},
        {"vision_cfg": {"timm_model_name": "vit_giant_patch14_224"}},
        {"vision_cfg": {"timm_model_name": "vit_tiny_patch16_224", "image_size": 1 << 20}},
        {"text_cfg": {"layers": 300_000}},
        {"text_cfg": {"width": 1 << 20}},
        {"text_cfg": {"vocab_size": 1 << 31}},
        {"text_cfg": {"context_length": 1 << 20}},
        {"text_cfg": {"mlp_ratio": 1e5}},
        {"multimodal_cfg": {"layers": 300_000}},
        {"embed_dim": 1 << 30},
    ],
)
def test_configurations_larger_than_their_weights(change):
    config = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT}
    check_sizes("c.json", config, 1000)
    merged = {k: {**config.get(k, {}), **v} if isinstance(v, dict) else v for k, v in change.items()}
    with pytest.raises(OverBudget, match=r"c\.json: the model that it describes would grow to"):
        check_sizes("c.json", {**config, **merged}, 1000)


@pytest.mark.parametrize(
    "change",
    [
        {"vision_cfg": {"layers": -1}},
        {"vision_cfg": {"layers": [1, 2]}},
        {"vision_cfg": {"patch_size": 0}},
        {"vision_cfg": {"mlp_ratio": -4.0}},
        {"text_cfg": {"width": True}},
        {"text_cfg": {"vocab_size": 1 << 70}},
        {"embed_dim": 0},
    ],
)
def test_sizes_that_are_none(change):
    config = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT}
    merged = {k: {**config.get(k, {}), **v} if isinstance(v, dict) else v for k, v in change.items()}
    with pytest.raises(ValueError, match=r"c\.json: .* needed"):
        check_sizes("c.json", {**config, **merged}, 1000)


@pytest.mark.parametrize("name", ["RN50x4", "ViT-B-32", "coca_base", "ViT-bigG-14", "ViT-H-14-378-quickgelu"])
def test_the_estimate_of_a_size_is_near_the_models(name):
    """So that a factor of 8 leaves room for weights in half precision, and not for much more."""
    import open_clip

    config = open_clip.get_model_config(name)
    with torch.device("meta"):
        model = open_clip.create_model(name, load_weights=False, device="meta")
    true = 4 * sum(parameter.numel() for parameter in model.parameters())
    check_sizes(name, config, int(true / 6))
    with pytest.raises(OverBudget):
        check_sizes(name, config, int(true / 12))
