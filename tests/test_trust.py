"""Files of strangers choose no code: each kind that could name some is tried with code that leaves a mark."""

import builtins
import json
import os
import pickle
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import clipkit
from clipkit import FrozenCLIP, cli
from clipkit.data.images import read_image
from clipkit.data.proposals import read_proposals
from clipkit.data.video import Indices, VideoError, read_video
from clipkit.data.video_sets import read_video_set
from clipkit.errors import ClipkitError
from clipkit.text import load_embeddings

TINY = Path(clipkit.__file__).parent / "shapes" / "tiny_clip"


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Nobody is asked, no other program starts, no hub answers."""

    def never(*_, **__):
        raise AssertionError("asked on the terminal, or started a program")

    monkeypatch.setattr(builtins, "input", never)
    monkeypatch.setattr(subprocess, "Popen", never)
    monkeypatch.setattr("clipkit.backbone._build.hub_reachable", lambda: False)
    monkeypatch.setattr("clipkit.backbone.clip.hub_reachable", lambda: False)


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "RAN"


def evil_python(folder: Path, marker: Path) -> None:
    """A model, a configuration and a tokenizer in Python, as transformers would import them."""
    text = f"open({str(marker)!r}, 'w').write('x')\n"
    (folder / "evil.py").write_text(text + "class Evil:\n    from_pretrained = from_config = lambda *a, **k: None\n")
    code = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    (folder / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": code}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": code}))


def model_folder(folder: Path, marker: Path, **entries) -> Path:
    """The tiny CLIP with entries of its configuration changed: `text_cfg__layers=3`."""
    shutil.copytree(TINY, folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    for path, value in entries.items():
        place, (*outer, last) = config["model_cfg"], path.split("__")
        for name in outer:
            place = place[name]
        place[last] = value
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    evil_python(folder, marker)
    return folder


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"text_cfg__tokenizer_kwargs": {"trust_remote_code": True}}, "trust_remote_code"),
        ({"text_cfg__tokenizer_kwargs": {"cache_dir": "/tmp"}}, "cache_dir"),
        ({"text_cfg__tokenizer_kwargs": ["clean"]}, "tokenizer_kwargs"),
        ({"text_cfg__hf_model_name": "{folder}"}, "hf_model_name"),
        ({"text_cfg__hf_model_name": "../model"}, "hf_model_name"),
        ({"text_cfg__hf_model_name": "model"}, "hf_model_name"),
        ({"vision_cfg__timm_model_name": "local-dir:{folder}"}, "timm_model_name"),
        ({"vision_cfg__timm_model_name": "hf-hub:somebody/something"}, "timm_model_name"),
        ({"vision_cfg__timm_model_name": "hf_hub:somebody/something"}, "timm_model_name"),
        ({"vision_cfg__norm_kwargs": {"device": "meta"}}, "device"),
        ({"text_cfg__act_kwargs": {"inplace": True}}, "inplace"),
        ({"text_cfg__width": "evil.Evil"}, "width"),
        ({"pretrained_text_path": "x.pt"}, "pretrained_text_path"),
        ({"output_dict": True}, "output_dict"),
    ],
)
def test_a_model_folder_sets_nothing_that_could_name_code(tmp_path, marker, monkeypatch, entries, said):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    entries = {key: v.format(folder=folder) if isinstance(v, str) else v for key, v in entries.items()}
    model_folder(folder, marker, **entries)
    with pytest.raises((ValueError, ClipkitError)) as error:
        FrozenCLIP.from_pretrained(f"local-dir:{folder}").encode_text(["a"])
    assert said in str(error.value) and str(folder) in str(error.value) and "\n" not in str(error.value)
    assert not marker.exists()


def test_a_folders_tokenizer_is_data_alone(tmp_path, marker):
    tokenizers = pytest.importorskip("tokenizers")
    pytest.importorskip("transformers")
    folder = model_folder(tmp_path / "model", marker, text_cfg__hf_tokenizer_name="any")
    clip = FrozenCLIP.from_pretrained(f"local-dir:{folder}")
    with pytest.raises(ValueError, match="no vocabulary"):
        clip.encode_text(["red circle"])
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[PAD]": 0, "red": 5, "circle": 6, "?": 7}, "?"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    with pytest.raises(ValueError, match="auto_map"):
        clip.encode_text(["red circle"])
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "BertJapaneseTokenizer", "pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="BertJapaneseTokenizer"):
        clip.encode_text(["red circle"])
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}"  # a program that chat templates of tokenizers can hold
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert clip.tokenize(["red circle"])[0, :3].tolist() == [5, 6, 0]
    assert clip._tokenizer.tokenizer.chat_template is None
    assert not marker.exists()


def test_no_code_of_a_repository_is_trusted_by_name(tmp_path, marker, monkeypatch):
    """open_clip's own names reach transformers too: what a cache or a folder of that name holds is not run."""
    pytest.importorskip("transformers")
    import open_clip

    monkeypatch.chdir(tmp_path)
    (tmp_path / "tower").mkdir()
    evil_python(tmp_path / "tower", marker)
    vision = {"layers": 1, "width": 64, "head_width": 32, "patch_size": 16, "image_size": 32}
    text = {"hf_model_name": "tower", "hf_tokenizer_name": "tower"}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    (tmp_path / "clipkit-trust.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "clipkit-trust.json")
    clip = FrozenCLIP.from_pretrained("clipkit-trust")
    with pytest.raises(ValueError, match="code of its own"):
        clip.encode_text(["a"])
    assert not marker.exists()


def test_an_index_brings_no_model_along(tmp_path, marker, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.full((64, 64, 3), 120, np.uint8)).save("photos/a.png")
    made = ["index", "photos", "--out", "index", "--clip", f"local-dir:{TINY}", "--precision", "fp32"]
    assert cli.run("search", made) == 0
    monkeypatch.chdir(tmp_path / "photos")
    assert cli.run("search", ["query", "../index", "a red circle"]) == 0  # one's own folder is found from everywhere
    monkeypatch.chdir(tmp_path)
    model_folder(tmp_path / "index" / "m", marker)
    os.symlink(tmp_path / "index" / "m", tmp_path / "elsewhere")
    for name in (
        "local-dir:index/m",
        f"local-dir:{tmp_path}/index/m",
        f"local-dir:{tmp_path}/elsewhere",
        "local-dir:m",
    ):
        (tmp_path / "index/model.json").write_text(json.dumps({"clip": name, "pretrained": None}))
        capsys.readouterr()
        assert cli.run("search", ["query", "index", "a red circle"]) == 2
        assert "--clip" in capsys.readouterr().err
    for text in ("[]", '{"clip": 3}', '{"clip": ["tiny_clip"]}', "{"):
        (tmp_path / "index/model.json").write_text(text)
        assert cli.run("search", ["query", "index", "a red circle"]) == 2
    assert not marker.exists()


class Bomb:
    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


def test_no_array_and_no_list_unpickles(tmp_path, marker):
    hidden = np.array([Bomb(marker)], dtype=object)
    np.save(tmp_path / "e.npy", hidden, allow_pickle=True)
    np.savez(tmp_path / "e.npz", embeddings=hidden, names=hidden, counts=hidden, boxes=hidden)
    (tmp_path / "p.pkl").write_bytes(pickle.dumps({"a": Bomb(marker)}))
    (tmp_path / "videos").mkdir()
    (tmp_path / "raw-captions.pkl").write_bytes(pickle.dumps({"a": Bomb(marker)}))
    (tmp_path / "train_list.txt").write_text("a\n")
    for read in (
        lambda: load_embeddings(tmp_path / "e.npy"),
        lambda: load_embeddings(tmp_path / "e.npz"),
        lambda: read_proposals(tmp_path / "e.npz"),
        lambda: read_proposals(tmp_path / "p.pkl"),
        lambda: read_video_set("msvd", tmp_path, "train"),
    ):
        with pytest.raises((ValueError, ClipkitError)) as error:
            read()
        assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)
    assert not marker.exists()
    pickle.loads((tmp_path / "p.pkl").read_bytes())  # the bomb is real
    assert marker.exists()


def test_the_config_in_a_checkpoint_is_text(tmp_path, marker):
    pytest.importorskip("mmengine")
    from clipkit.engine.checkpoint import load_checkpoint

    cfg = f"open({str(marker)!r}, 'w')\ncustom_imports = dict(imports=['evil'])\n"
    torch.save({"state_dict": {"w": torch.zeros(1)}, "meta": {"cfg": cfg}}, tmp_path / "c.pth")
    assert load_checkpoint(tmp_path / "c.pth")["meta"]["cfg"] == cfg
    assert not marker.exists()


def test_mmengine_opens_no_pickle_and_makes_nothing_of_yaml(tmp_path, marker, monkeypatch):
    mmengine = pytest.importorskip("mmengine")
    from mmengine.runner.checkpoint import _load_checkpoint

    from clipkit.engine.register import register_all

    register_all()
    bomb = {"metainfo": {}, "data_list": [Bomb(marker)]}
    for name in ("a.pkl", "a.pickle"):
        (tmp_path / name).write_bytes(pickle.dumps(bomb))
        for read in (mmengine.load, mmengine.dataset.BaseDataset):
            with pytest.raises(ClipkitError, match="is a pickle"):
                read(str(tmp_path / name))
    (tmp_path / "a.yaml").write_text(f"x: !!python/object/apply:builtins.open [{str(marker)!r}, w]\n")
    with pytest.raises(ClipkitError, match="no plain YAML"):
        mmengine.load(str(tmp_path / "a.yaml"))
    (tmp_path / "a.yaml").write_text("x: [1, two]\n")
    assert mmengine.load(str(tmp_path / "a.yaml")) == {"x": [1, "two"]}
    torch.save({"state_dict": Bomb(marker)}, tmp_path / "far.pth")  # what an address of weights brings
    monkeypatch.setattr(
        torch.hub, "download_url_to_file", lambda url, to, *_, **__: shutil.copy(tmp_path / "far.pth", to)
    )
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(ClipkitError, match=r"http://localhost:1/far\.pth: refused"):
        _load_checkpoint("http://localhost:1/far.pth")
    assert not marker.exists()


def test_a_config_is_python_and_no_yaml(tmp_path, marker):
    pytest.importorskip("mmengine")
    from clipkit.engine.config import load_config

    path = tmp_path / "c.yaml"
    path.write_text(f"model: !!python/object/apply:builtins.open [{str(marker)!r}, w]\n")
    with pytest.raises(ClipkitError, match="YAML"):
        load_config(path)
    assert not marker.exists()


def test_postscript_under_a_pictures_name_starts_no_interpreter(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(ClipkitError, match="unknown format"):
        read_image(path)


@pytest.mark.parametrize(
    "text",
    [
        b"#EXTM3U\n#EXTINF:1,\nhttp://localhost:1/a.ts\n",
        b"\xef\xbb\xbf#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n\0\0",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n\0",
        b"<?xml version='1.0'?><MPD><BaseURL>http://localhost:1/</BaseURL></MPD>",
    ],
)
def test_a_playlist_under_a_films_name_opens_nothing(tmp_path, text):
    path = tmp_path / "film.mp4"
    path.write_bytes(text)
    for backend in ("decord", "pyav", "opencv", "torchcodec"):
        with pytest.raises(VideoError, match=r"film\.mp4: is a text or a playlist"):
            read_video(path, Indices((0,)), backend=backend)


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a><object><name>&x;</name></object></a>',
        '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]><a><object><name>&c;</name></object></a>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://localhost:1/a.dtd"> %p;]><a/>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_declares_no_entities(tmp_path, document, encoding):
    from clipkit.safe import parse_xml

    (tmp_path / "a.xml").write_bytes(document.encode(encoding))
    with pytest.raises(ValueError, match=r"a\.xml: declares entities"):
        parse_xml(tmp_path / "a.xml")
    (tmp_path / "b.xml").write_text("<a><object><name>cat &amp; dog</name></object></a>")
    assert parse_xml(tmp_path / "b.xml").findtext("object/name") == "cat & dog"
