"""Upload and download through huggingface_hub, against a local server that speaks its protocol as far as needed."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

pytest.importorskip("mmseg")

from huggingface_hub import constants

from clipkit import cli, hub
from clipkit.bundle._layout import digest
from clipkit.engine import Segmenter
from clipkit.errors import ClipkitError
from clipkit.predict.predictor import Predictor
from clipkit.shapes import render
from support.bundle_hub import serve_repositories
from support.bundles import fcn_bundle

NAME = "somebody/small"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return fcn_bundle(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def server(tmp_path, monkeypatch):
    with serve_repositories() as repositories:
        addresses = repositories.address + "/{repo_id}/resolve/{revision}/{filename}"
        for name, value in (
            ("ENDPOINT", repositories.address),
            ("HUGGINGFACE_CO_URL_TEMPLATE", addresses),
            ("HF_HUB_CACHE", str(tmp_path / "cache")),
            ("HF_HUB_OFFLINE", False),
            ("HF_HUB_DISABLE_XET", True),
        ):
            monkeypatch.setattr(constants, name, value)
        yield repositories


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_up_down_and_offline(server, sound, monkeypatch, capfd):
    photo = render(1, seed=3).images[0]
    here = Segmenter.from_pretrained(sound, device="cpu")
    address = here.push_to_hub(NAME)
    assert address.startswith(f"{server.address}/{NAME}/commit/")
    held = server.files(NAME)
    assert {name: held[name] for name in held if name != "README.md"} == {
        name: content for name, content in contents(sound).items() if name != "README.md"
    }
    assert b"# small" in held["README.md"]
    there = Predictor.from_pretrained(f"hf-hub:{NAME}", device="cpu")
    assert f"fetching hf-hub:{NAME} from {server.address}/{NAME}, once" in capfd.readouterr().err
    assert torch.equal(here(photo).scores, there(photo).scores) and torch.equal(here(photo).labels, there(photo).labels)
    monkeypatch.setattr(hub, "hub_reachable", lambda: False)
    asked = len(server.asked)
    assert torch.equal(Segmenter.from_pretrained(f"hf-hub:{NAME}", device="cpu")(photo).scores, here(photo).scores)
    assert len(server.asked) == asked and capfd.readouterr().err == ""


def test_a_revision(server, sound):
    model = Segmenter.from_pretrained(sound, device="cpu")
    model.push_to_hub(NAME)
    first = server.branches[NAME]["main"]
    bias = model.model.decode_head.conv_seg.bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias.add_(1)
    model.push_to_hub(NAME, revision="better", message="shifted")
    assert server.branches[NAME].keys() == {"main", "better"} and server.branches[NAME]["main"] == first

    def opened(revision):
        return Segmenter.from_pretrained(f"hf-hub:{NAME}", revision=revision).model.decode_head.conv_seg.bias

    assert torch.equal(opened("better"), bias)
    assert torch.equal(opened(first), before) and torch.equal(opened(None), before)
    with pytest.raises(ClipkitError, match=f"hf-hub:{NAME} .*could not be downloaded"):
        opened("no-such-branch")


def test_a_hostile_repository(server, sound, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "RAN"),)

    files = contents(sound)
    traps = {"pytorch_model.bin": pickle.dumps(Evil()), "config.py": b"raise SystemExit", "config.json": b"{}"}
    server.commit(NAME, "main", {**files, **traps})
    Predictor.from_pretrained(f"hf-hub:{NAME}")
    assert not [path for method, path in server.asked if path.rpartition("/")[2] in traps]  # not so much as fetched
    index = json.loads(files["bundle.json"])
    index["files"]["../../../escaped.json"] = {"bytes": 2, "sha256": ""}
    index["sha256"] = digest(index)
    server.commit(NAME, "main", {"bundle.json": json.dumps(index).encode(), "../../../escaped.json": b"{}"})
    with pytest.raises(ClipkitError, match=r"lists the file '\.\./\.\./\.\./escaped\.json'.*refused"):
        Predictor.from_pretrained(f"hf-hub:{NAME}")
    server.commit(NAME, "main", {**files, "model.safetensors": traps["pytorch_model.bin"]})
    with pytest.raises(ClipkitError, match=r"model\.safetensors: is not what the bundle\.json of somebody/small says"):
        Predictor.from_pretrained(f"hf-hub:{NAME}")
    assert not list(tmp_path.rglob("escaped.json")) and not (tmp_path / "RAN").exists()
    for name in ("../small", "small", "a/b/c", "a/..", "http://x/y"):
        with pytest.raises(ClipkitError, match="is no repository of Hugging Face"):
            Predictor.from_pretrained(f"hf-hub:{name}")


def test_an_interrupted_download_goes_on_or_is_one_line(server, sound, tmp_path):
    server.commit(NAME, "main", contents(sound))
    server.cut["model.safetensors"] = 1000  # the client asks for the rest
    Predictor.from_pretrained(f"hf-hub:{NAME}")
    assert sum(path.endswith("model.safetensors") for method, path in server.asked if method == "GET") == 2
    shutil.rmtree(tmp_path / "cache")
    server.cut["model.safetensors"], server.stays_down = 1000, True
    with pytest.raises(ClipkitError, match=r"model\.safetensors\) could not be downloaded") as raised:
        Predictor.from_pretrained(f"hf-hub:{NAME}")
    assert "\n" not in str(raised.value)
    server.down.clear()
    Predictor.from_pretrained(f"hf-hub:{NAME}")


def test_commands(server, sound, tmp_path, capsys):
    scene = str(Path(__file__).parents[2] / "examples" / "scene.png")
    assert cli.run("bundle", [str(sound), str(tmp_path / "again"), "--push", NAME]) == 0
    assert f"others open it as hf-hub:{NAME}" in capsys.readouterr().out
    for source in (f"hf-hub:{NAME}", str(sound)):
        assert cli.run("predict", [source, scene, "--out", str(tmp_path / source[-5:])]) == 0, capsys.readouterr().err
    assert contents(tmp_path / "small") == contents(tmp_path / "undle")
    assert cli.run("bundle", [str(sound), str(tmp_path / "more"), "--push", "no/where/"]) == 2
    assert "is no repository of Hugging Face" in capsys.readouterr().err
