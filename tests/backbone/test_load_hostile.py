"""Wrong, damaged and malicious weight files: one line each, and nothing of them runs."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from clipkit.backbone._load import load_weights
from clipkit.backbone._load_torchscript import read_torchscript
from clipkit.safe import load_tensors
from support.clip_files import assert_same, clip, one_line, save_torchscript

# ---- wrong files


def wrong_text(path):
    path.write_text("name: clip\n" * 20)


def wrong_html(path):
    path.write_text("<!DOCTYPE html><title>404</title>")


def wrong_lfs(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


def wrong_empty(path):
    path.write_bytes(b"")


def wrong_noise(path):
    path.write_bytes(bytes(range(255, 0, -1)) * 40)


def wrong_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/readme.txt", "hello")


def wrong_truncated_zip(path):
    torch.save(clip().state_dict(), path)
    path.write_bytes(path.read_bytes()[:5000])


def wrong_truncated_legacy(path):
    torch.save(clip().state_dict(), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-5000])


def wrong_truncated_safetensors(path):
    from safetensors.torch import save_file

    save_file(clip().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-5000])


def wrong_truncated_torchscript(path):
    save_torchscript(clip(), path)
    path.write_bytes(path.read_bytes()[:20000])


def wrong_tensor(path):
    torch.save(torch.zeros(3), path)


def wrong_module(path):
    torch.save(torch.nn.Linear(2, 2), path)


def wrong_mmengine(path):
    torch.save({"meta": {"epoch": 1}, "state_dict": {"backbone.conv.weight": torch.zeros(1)}, "message_hub": {}}, path)


def wrong_other_model(path):
    torch.save({"layer1.0.conv1.weight": torch.zeros(1), "fc.weight": torch.zeros(2)}, path)


def wrong_no_tensors(path):
    torch.save({"visual.proj": "a string"}, path)


def wrong_empty_dict(path):
    torch.save({}, path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (wrong_text, "text file"),
        (wrong_html, "web page"),
        (wrong_lfs, "git lfs pull"),
        (wrong_empty, "empty"),
        (wrong_noise, "no known format"),
        (wrong_zip, "zip archive without tensors"),
        (wrong_truncated_zip, "truncated"),
        (wrong_truncated_legacy, "truncated"),
        (wrong_truncated_safetensors, "truncated"),
        (wrong_truncated_torchscript, "truncated"),
        (wrong_tensor, "holds a Tensor"),
        (wrong_module, r"torch\.nn\.modules\.linear\.Linear.*state_dict"),
        (wrong_mmengine, "mmengine"),
        (wrong_other_model, "no CLIP"),
        (wrong_no_tensors, "'visual.proj' is a str"),
        (wrong_empty_dict, "no tensors"),
    ],
)
def test_wrong_files_end_in_one_line(tmp_path, make, message):
    path = tmp_path / "weights.pt"
    make(path)
    with pytest.raises(ValueError, match=message) as error:
        load_weights(path, clip())
    assert str(path) in one_line(error)


def test_missing_unexpected_and_misshapen_keys_are_named(tmp_path):
    path = tmp_path / "w.pt"
    model = clip()

    def refuse(state):
        torch.save(state, path)
        with pytest.raises(ValueError, match="does not fit ViT-X") as error:
            load_weights(path, model, name="ViT-X")
        assert str(path) in str(error.value)
        return one_line(error)

    state = dict(model.state_dict())
    assert "lacks 'ln_final.weight'" in refuse({k: v for k, v in state.items() if k != "ln_final.weight"})
    assert "has 'extra' that ViT-X has not" in refuse({**state, "extra": torch.zeros(1)})
    assert "'visual.proj' has shape (64, 9), and (64, 16)" in refuse({**state, "visual.proj": torch.zeros(64, 9)})
    integer = torch.zeros(64, 16, dtype=torch.int64)
    assert "torch.int64" in refuse({**state, "visual.proj": integer})
    odd = torch.zeros(1 + 15, 64)
    torch.save({**state, "visual.positional_embedding": odd}, path)
    with pytest.raises(ValueError, match="no square grid"):
        load_weights(path, model)
    wide = clip(width=96)
    with pytest.raises(ValueError, match="shape"):
        torch.save(state, path)
        load_weights(path, wide)


# ---- malicious files


class Bomb:
    """Writes a file when it is unpickled by anyone who trusts it."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def torchscript_with(path, payload):
    """A real archive whose pickle is replaced: it still looks like OpenAI's."""
    save_torchscript(clip(), path)
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    root = next(iter(records)).split("/")[0]
    records[f"{root}/data.pkl"] = payload
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in records.items():
            archive.writestr(name, data)


def malicious_torch(path, bomb):
    torch.save({**clip().state_dict(), "x": bomb}, path)


def malicious_legacy(path, bomb):
    torch.save({**clip().state_dict(), "x": bomb}, path, _use_new_zipfile_serialization=False)


def malicious_pickle(path, bomb):
    path.write_bytes(pickle.dumps({"x": bomb}, protocol=2))


def malicious_pickle5(path, bomb):
    path.write_bytes(pickle.dumps({"x": bomb}, protocol=5))


def malicious_torchscript(path, bomb):
    torchscript_with(path, pickle.dumps(bomb, protocol=2))


def malicious_builtin(path, bomb):
    torchscript_with(path, b"\x80\x02c__builtin__\neval\nX\x05\x00\x00\x001 + 1\x85R.")


def malicious_torch_function(path, bomb):
    torchscript_with(path, b"\x80\x02ctorch\nload\nX\x05\x00\x00\x00/etc/\x85R.")


@pytest.mark.parametrize(
    "make",
    [
        malicious_torch,
        malicious_legacy,
        malicious_pickle,
        malicious_pickle5,
        malicious_torchscript,
        malicious_builtin,
        malicious_torch_function,
    ],
)
def test_malicious_files_run_nothing(tmp_path, make):
    marker = tmp_path / "ran"
    path = tmp_path / "weights.pt"
    make(path, Bomb(marker))
    with pytest.raises(ValueError, match="refused, and nothing was run") as error:
        load_weights(path, clip())
    assert str(path) in one_line(error)
    assert not marker.exists()
    # The bomb is real: whoever trusts it is hit.
    if make is malicious_pickle:
        pickle.loads(path.read_bytes())
        assert marker.exists()


def test_program_of_an_archive_is_only_searched(tmp_path):
    """Hostile source text inside `code/` changes nothing: it is never compiled."""
    path = tmp_path / "w.pt"
    save_torchscript(clip(), path)
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].split("/")[0]
        archive.writestr(f"{root}/code/__torch__/evil.py", "import os\nos.abort()\n")
    assert_same(load_weights(path, clip()), clip())


def tensor_pickle(size, stride, count=4, key="0", storage="FloatStorage"):
    """A TorchScript-like pickle of one module with one tensor, written by hand."""

    def text(value):
        data = value.encode()
        return b"X" + len(data).to_bytes(4, "little") + data

    def number(value):
        return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)

    def numbers(values):
        return b"(" + b"".join(number(v) for v in values) + b"t"

    out = io.BytesIO()
    out.write(b"\x80\x02c__torch__.m\nM\n)\x81}(" + text("visual"))
    out.write(b"ctorch._utils\n_rebuild_tensor_v2\n(")
    out.write(
        b"(" + text("storage") + f"ctorch\n{storage}\n".encode() + text(key) + text("cpu") + number(count) + b"tQ"
    )
    out.write(number(0) + numbers(size) + numbers(stride) + b"\x89" + b"ccollections\nOrderedDict\n)R" + b"tR" + b"ub.")
    return out.getvalue()


def test_archives_that_lie_about_sizes(tmp_path):
    path = tmp_path / "w.pt"
    torchscript_with(path, tensor_pickle((2, 2), (2, 1)))
    state, _ = read_torchscript(path)
    assert state["visual"].shape == (2, 2)  # the hand-written pickle is a valid one; the next differ in one number
    for bad in (
        tensor_pickle((1 << 40,), (0,)),
        tensor_pickle((5,), (0,)),
        tensor_pickle((4,), (1000,)),
        tensor_pickle((2, 2), (2, 1), count=1 << 40),
        tensor_pickle((2, 2), (2, 1), key="../../version"),
        tensor_pickle((-1, 2), (2, 1)),
        tensor_pickle((2, 2), (2, 1), storage="QInt8Storage"),
    ):
        torchscript_with(path, bad)
        with pytest.raises(ValueError) as error:
            read_torchscript(path)
        assert str(path) in one_line(error)


def test_compressed_archives_are_refused(tmp_path):
    path = tmp_path / "w.pt"
    save_torchscript(clip(), path)
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    with pytest.raises(ValueError, match="compressed"):
        load_weights(path, clip())


def test_safe_loader_takes_named_classes_only(tmp_path):
    from fractions import Fraction

    path = tmp_path / "w.pt"
    torch.save({"x": Fraction(1, 3)}, path)
    with pytest.raises(ValueError, match=r"fractions\.Fraction"):
        load_tensors(path)
    assert load_tensors(path, allowed=[Fraction])["x"] == Fraction(1, 3)
    with pytest.raises(ValueError, match=r"fractions\.Fraction"):  # and the permission ends with the call
        load_tensors(path)
    with pytest.raises(FileNotFoundError):
        load_tensors(Path("/nowhere/at/all.pt"))
