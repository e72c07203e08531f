"""A CLIP as configs write it, and the name of the shipped one."""

import pytest

from clipkit import errors
from clipkit.backbone import FrozenCLIP, TunableCLIP
from clipkit.backbone.options import build_frozen, clip_options
from clipkit.errors import ClipkitError
from clipkit.shapes import tiny_clip
from clipkit.shapes.tiny import FOLDER


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(errors, "_SAID", set())
    monkeypatch.setattr("clipkit.backbone.options._warned", set())


@pytest.mark.parametrize("kind", [FrozenCLIP, TunableCLIP])
@pytest.mark.parametrize("name", ["tiny_clip", "tiny_shapes"])
def test_the_shipped_clip_has_a_name_everywhere(kind, name):
    clip = kind.from_pretrained(name)
    assert clip.weights_hash == tiny_clip().weights_hash and clip.name == f"local-dir:{FOLDER}"


def test_a_tag_for_the_shipped_clip_is_refused_and_not_ignored():
    with pytest.raises(FileNotFoundError, match="brings its own weights: leave pretrained out"):
        FrozenCLIP.from_pretrained("tiny_clip", "openai")


def test_a_name_alone_or_a_dict(capsys):
    assert clip_options("tiny_clip") == {"name": "tiny_clip"}
    whole = dict(name="ViT-B-32", pretrained="openai", precision="bf16")
    assert clip_options(whole) == whole and clip_options(whole, pretrained=None) == whole
    assert not capsys.readouterr().err


def test_what_stood_beside_the_name_is_read_with_one_line(capsys):
    for _ in range(2):
        assert clip_options("ViT-B-32", pretrained="openai") == dict(name="ViT-B-32", pretrained="openai")
    assert clip_options(None, name="ViT-B-32") == dict(name="ViT-B-32")
    said = capsys.readouterr().err.splitlines()
    assert [line.partition("=")[0] for line in said] == ["pretrained", "name"]
    assert all(line.endswith("write clip=dict(name=…, pretrained=…, precision=…)") for line in said)


def test_a_later_weight_beside_a_dict_wins():
    assert clip_options(dict(name="ViT-B-32", pretrained="a"), pretrained="b")["pretrained"] == "b"


@pytest.mark.parametrize(
    ("clip", "line"),
    [({}, "clip needs a name"), (None, "clip needs a name"), (dict(name="x", pretraind="y"), 'mean "pretrained"')],
)
def test_what_is_wrong_is_one_line(clip, line):
    with pytest.raises(ClipkitError, match=line):
        clip_options(clip)


def test_random_weights_of_a_frozen_clip_are_said_once(capsys):
    for _ in range(2):
        build_frozen({"name": "tiny-shapes"})
    build_frozen({"name": "tiny_clip"})
    assert capsys.readouterr().err.count("weights are random") == 1


def test_text_rows_and_a_classifier_read_both_spellings(capsys):
    pytest.importorskip("mmengine")
    from clipkit.classification.classifier import ClipClassifier
    from clipkit.text.class_rows import build_text

    whole = dict(name="tiny_clip", pretrained=str(FOLDER / "open_clip_model.safetensors"))
    now, before = build_text(dict(clip=whole)), build_text(dict(clip=whole["name"], pretrained=whole["pretrained"]))
    assert now.clip.weights_hash == before.clip.weights_hash == tiny_clip().weights_hash
    models = ClipClassifier(dict(name="tiny_clip", precision="bf16")), ClipClassifier("tiny_clip", precision="bf16")
    assert [model.precision for model in models] == ["bf16", "bf16"]
    assert models[0].clip.weights_hash == models[1].clip.weights_hash  # the rows of text stay in float32
    assert len(capsys.readouterr().err.splitlines()) == 2
