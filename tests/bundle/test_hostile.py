"""A stranger's bundle: what is not allowed is refused in one line, before anything is built, run, fetched or opened."""

import json
import os
import pickle
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("mmseg")

from clipkit.bundle import find_bundle, open_bundle, read_bundle
from clipkit.bundle._budget import TensorBudget
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.safe import OverBudget
from support.bundles import change_index, depth_bundle, fcn_bundle


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return fcn_bundle(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def folder(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "b")


@pytest.fixture
def untouched(monkeypatch):
    """Nothing is built."""
    monkeypatch.setattr(MODELS, "build", lambda *_, **__: pytest.fail("something was built"))


def put(folder, place, value):
    """Sets a value in the config, at a dotted place."""

    def change(index):
        node, (*outer, last) = index["config"], place.split(".")
        for key in outer:
            node = node[int(key)] if isinstance(node, list) else node[key]
        node[int(last) if isinstance(node, list) else last] = value

    change_index(folder, change)


def test_what_no_constructor_takes_names_the_bundle(folder):
    put(folder, "model.{", {})
    with pytest.raises(ClipkitError, match=r"b/bundle\.json: EncoderDecoder"):
        open_bundle(read_bundle(folder))


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("model.type", "os.system", r"model.type is 'os.system', which is no part"),
        ("model.type", "clipkit.find", r"no part"),
        ("model.type", "mmseg.TIMMBackbone", r"no part"),
        ("model.backbone.type", "SegPictureHook", r"no part"),
        ("model.backbone", {"type": "subprocess.Popen", "args": ["touch", "RAN"]}, r"model.backbone.type is 'subpr"),
        ("model.test_cfg.nms", {"type": "__import__('os').system('touch RAN')"}, r"model.test_cfg.nms.type is"),
        ("model.classes", [{"type": "builtins.exec"}], r"model.classes.0.type is 'builtins.exec'"),
        ("model.type", {"()": ["EncoderDecoder"]}, r"no part"),
        ("test_dataloader.dataset.pipeline.0.type", "mmcv.LoadImageFromFile", r"pipeline.0.type is .*no part"),
        ("model._scope_", "torchvision", r"model._scope_ is a key"),
        ("model.init_cfg", {"type": "Pretrained", "checkpoint": "http://x/y.pth"}, r"model.init_cfg is a key"),
        ("model.custom_imports", {"imports": ["evil"]}, r"model.custom_imports is a key"),
        ("custom_imports", {"imports": ["evil"]}, r"is not `model` beside"),
        ("model.backbone.pretrained", True, r"asks for a download"),
        ("model.backbone.pretrained", "torchvision://resnet50", r"outside of the bundle"),
        ("model.classes", "/etc/passwd", r"model.classes names a file or address outside of the bundle, '/etc/passwd'"),
        ("model.classes", "../labels.txt", r"outside of the bundle"),
        ("model.classes", "a/../../labels.txt", r"outside of the bundle"),
        ("model.classes", "~/labels.txt", r"outside of the bundle"),
        ("model.classes", "C:\\labels.txt", r"outside of the bundle"),
        ("model.classes", "{bundle}/../labels.txt", r"which is not among the bundle's files"),
        ("model.classes", "{bundle}/README.md", r"which is not among the bundle's files"),
        ("model.clip", "local-dir:/tmp", r"outside of the bundle"),
        ("model.clip", "local-dir:{bundle}/clip", r"which is not among the bundle's files"),
        ("model.vocabulary", {"file": ".bashrc", "questions": ""}, r"model.vocabulary.file names a file outside"),
        ("model.text", {"path": ["rows.npy"]}, r"model.text.path.0 names a file outside"),
        ("model.backbone.name", "hf-hub:somebody/timm", r"model.backbone.name asks for a download"),
        ("model.templates", "lambda name: name", r"is code"),
        ("model.x", 1 << 60, r"too large"),
        ("model.x", float("nan"), r"no finite number"),
        ("plugins", ["../evil"], r"needs the plugin '../evil', which is not installed"),
        ("default_scope", "os", r"default_scope is 'os'"),
    ],
)
def test_what_a_config_may_not_hold(folder, untouched, place, value, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(folder, place, value)
    with pytest.raises(ClipkitError, match=said) as raised:
        read_bundle(folder)
    assert "\n" not in str(raised.value) and str(folder) in str(raised.value) and not (tmp_path / "RAN").exists()


def test_a_file_that_lies_beside_is_not_read(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("a\n")
    put(folder, "model.classes", "secret")
    with pytest.raises(ClipkitError, match="names a file or address outside"):
        read_bundle(folder)


def test_a_config_without_end(folder):
    deep = value = {}
    for _ in range(60):
        value["x"] = value = {}
    put(folder, "model.x", deep)
    with pytest.raises(ClipkitError, match="nested more than 40 times"):
        read_bundle(folder)


@pytest.mark.parametrize(
    "name", ["../up.json", "/etc/passwd", "a/../b.json", "code.py", "w.pth", ".hidden.json", "a/b/c.json"]
)
def test_names_of_files(folder, name):
    change_index(folder, lambda index: index["files"].update({name: {"bytes": 1, "sha256": "0"}}))
    with pytest.raises(ClipkitError, match=rf"lists the file '{re.escape(name)}', which no bundle holds: refused"):
        read_bundle(folder)


def test_a_link_out_of_the_folder(folder, tmp_path):
    (tmp_path / "mine.json").write_text('["my", "names"]')
    (folder / "labels.json").unlink()
    os.symlink(tmp_path / "mine.json", folder / "labels.json")
    change_index(folder, lambda index: None)
    with pytest.raises(ClipkitError, match=r"labels\.json: is a link that leads out of the bundle"):
        read_bundle(folder)


def test_damage_is_seen(folder):
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ClipkitError, match=r"model\.safetensors: is not what bundle\.json says .* damaged"):
        read_bundle(folder)
    weights.unlink()
    with pytest.raises(ClipkitError, match=r"lacks model\.safetensors"):
        read_bundle(folder)
    text = (folder / "bundle.json").read_text()
    (folder / "bundle.json").write_text(text.replace("127.0", "126.0"))
    with pytest.raises(ClipkitError, match="was changed after it was written"):
        read_bundle(folder)
    (folder / "bundle.json").write_text("{}")
    with pytest.raises(ClipkitError, match="its format is None, not clipkit-bundle/1"):
        read_bundle(folder)


def test_weights_are_safetensors_and_fit_to_the_letter(folder):
    weights = load_file(folder / "model.safetensors")
    name = "backbone.stem.0.weight" if "backbone.stem.0.weight" in weights else next(iter(weights))

    def said(changed):
        save_file(changed, folder / "model.safetensors")
        change_index(folder, lambda index: None)
        with pytest.raises(ClipkitError) as raised:
            open_bundle(read_bundle(folder))
        return str(raised.value)

    assert "1 weights of the model are not in it" in said({k: v for k, v in weights.items() if k != name})
    assert "1 of its weights have no place (more)" in said({**weights, "more": torch.zeros(1)})
    assert f"does not fit the model: {name} is torch.float32 (3,)" in said({**weights, name: torch.zeros(3)})
    assert f"does not fit the model: {name} is torch.float64" in said({**weights, name: weights[name].double()})
    assert "are not finite" in said({**weights, name: torch.full_like(weights[name], torch.nan)})
    (folder / "model.safetensors").write_bytes(pickle.dumps({"x": 1}))
    change_index(folder, lambda index: None)
    with pytest.raises(ClipkitError, match="is no safetensors file: refused"):
        open_bundle(read_bundle(folder))


@pytest.mark.parametrize(
    ("place", "value"),
    [("model.backbone.channels", {"()": [4, 1 << 40]}), ("model.decode_head.channels", 1 << 30)],
)
def test_sizes_are_checked_before_anything_is_allocated(folder, place, value):
    put(folder, place, value)
    with pytest.raises(OverBudget, match=r"bundle\.json: the model that its config describes would grow to .*Ti?B|GiB"):
        open_bundle(read_bundle(folder))


def test_what_is_counted():
    with pytest.raises(OverBudget), TensorBudget("x", 0):
        [torch.nn.Identity(torch.zeros(1)) for _ in range(20_000)]
    for make in (
        lambda: torch.zeros(1).repeat(1 << 40),
        lambda: torch.arange(1 << 40),
        lambda: torch.eye(1 << 20),
        lambda: torch.zeros(1).new_full((1 << 40,), 1.0),
        lambda: torch.linspace(0, 1, 1 << 40),
        lambda: torch.nn.Embedding(1 << 40, 2),
    ):
        with pytest.raises(OverBudget), TensorBudget("x", 0):
            make()
    with TensorBudget("x", 0):
        assert torch.nn.Linear(1000, 1000)(torch.ones(2, 1000)).shape == (2, 1000)


def test_another_clip_of_the_same_name_is_refused(tmp_path):
    folder = depth_bundle(tmp_path / "b")
    change_index(folder, lambda index: index["frozen"][0].update(weights_hash="0" * 64))
    with pytest.raises(ClipkitError, match="was trained with frozen CLIP distance_clip"):
        open_bundle(read_bundle(folder))


def test_labels_and_scores_of_another_form(folder):
    for name, text in (("labels.json", '{"a": 1}'), ("labels.json", "["), ("scores.json", "[]"), ("scores.json", "{}")):
        (folder / name).write_text(text)
        change_index(folder, lambda index: None)
        with pytest.raises(ClipkitError, match=name) as raised:
            read_bundle(folder)
        assert "\n" not in str(raised.value)
        (folder / "labels.json").write_text("[]")
    with pytest.raises(ClipkitError, match="a folder has no revision"):
        find_bundle(folder, "main")


def test_nothing_else_in_the_folder_is_looked_at(folder):
    (folder / "evil.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(print))
    (folder / "config.py").write_text("raise SystemExit")
    assert json.dumps(read_bundle(folder).config)
    open_bundle(read_bundle(folder))
