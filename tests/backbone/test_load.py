"""Local weight files of every known format, and the activation that they were trained with."""

import json

import numpy as np
import open_clip
import pytest
import torch

from clipkit.backbone import FrozenCLIP
from clipkit.backbone._load import find_source, load_weights, runs_quick_gelu
from clipkit.backbone._load_torchscript import read_torchscript
from clipkit.safe import file_kind
from support.clip_files import SMALL, assert_same, build, clip, one_line, save_torchscript, transformers_clip
from support.closed_form import closed_form_

# ---- files that are understood


def test_torchscript_archive_gives_the_same_tensors_without_jit(tmp_path, monkeypatch):
    model = clip()
    path = save_torchscript(model, tmp_path / "ViT.pt")
    monkeypatch.setattr(torch.jit, "load", lambda *a, **k: pytest.fail("torch.jit.load runs a stranger's program"))
    assert file_kind(path) == "torchscript"
    assert_same(load_weights(path, model, name="ViT-B-32-quickgelu"), model)


def test_torchscript_half_precision(tmp_path):
    model = clip()
    path = save_torchscript(model, tmp_path / "ViT.pt")
    reread, quick = read_torchscript(path)
    assert quick and reread["visual.proj"].dtype == torch.float32
    half = {k: v.half() for k, v in model.state_dict().items()}
    torch.save(half, tmp_path / "half.pt")
    state = load_weights(tmp_path / "half.pt", model)
    assert state["visual.proj"].dtype == torch.float16


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrap", [None, "state_dict", "module", "both", "openai"])
def test_plain_state_dicts(tmp_path, wrap, legacy):
    model = clip()
    state = dict(model.state_dict())
    if wrap in ("module", "both"):
        state = {f"module.{k}": v for k, v in state.items()}
    if wrap == "openai":
        state |= {k: torch.tensor(1) for k in ("input_resolution", "context_length", "vocab_size")}
    content = {"epoch": 3, "name": "run", "state_dict": state} if wrap in ("state_dict", "both") else state
    path = tmp_path / "weights.bin"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    assert_same(load_weights(path, model), model)


def test_safetensors_and_custom_text_layout(tmp_path):
    from safetensors.torch import save_file

    model = clip(quick_gelu=False)
    custom = closed_form_(open_clip.CustomTextCLIP(**SMALL)).eval()
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    assert_same(load_weights(tmp_path / "m.safetensors", model), model)
    # A file with the text tower at the root fills a model that keeps it under `text.`, and the reverse.
    converted = load_weights(tmp_path / "m.safetensors", custom)
    custom.load_state_dict(converted)
    torch.testing.assert_close(converted["text.ln_final.weight"], model.ln_final.weight)
    save_file(custom.state_dict(), tmp_path / "c.safetensors")
    assert_same(load_weights(tmp_path / "c.safetensors", model), model)


def test_image_side_alone_where_the_text_tower_could_not_be_built(tmp_path):
    whole = closed_form_(open_clip.CustomTextCLIP(**SMALL))
    torch.save(whole.state_dict(), tmp_path / "w.pt")
    image_side = closed_form_(open_clip.CustomTextCLIP(**SMALL), scale=0.5)
    image_side.text = torch.nn.Identity()
    image_side.load_state_dict(load_weights(tmp_path / "w.pt", image_side, skip="text."))
    torch.testing.assert_close(image_side.visual.proj, whole.visual.proj)
    with pytest.raises(ValueError, match="that CustomTextCLIP has not"):
        load_weights(tmp_path / "w.pt", image_side)


def test_position_tables_are_resized_as_open_clip_does(tmp_path):
    small, large = clip(), clip(image_size=(48, 64))
    torch.save(small.state_dict(), tmp_path / "small.pt")
    ours = load_weights(tmp_path / "small.pt", large)
    theirs = dict(small.state_dict())
    open_clip.model.resize_pos_embed(theirs, large)
    key = "visual.positional_embedding"
    assert ours[key].shape == (1 + 6 * 8, 64)
    torch.testing.assert_close(ours[key], theirs[key], rtol=0, atol=1e-6)
    torch.testing.assert_close(ours[key][0], small.state_dict()[key][0])
    longer = open_clip.CLIP(**{**SMALL, "text_cfg": {**SMALL["text_cfg"], "context_length": 20}}, quick_gelu=True)
    assert load_weights(tmp_path / "small.pt", longer)["positional_embedding"].shape == (20, 32)


def test_big_vision_npz_that_does_not_fit(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="big_vision") as error:
        load_weights(tmp_path / "x.npz", clip())
    one_line(error)


# ---- activation


def test_openai_archive_never_runs_with_gelu(tmp_path):
    path = save_torchscript(clip(), tmp_path / "ViT-B-32.pt")
    with pytest.raises(ValueError, match=r"trained with QuickGELU and ViT-B-32 runs GELU: use 'ViT-B-32-quickgelu'"):
        load_weights(path, clip(quick_gelu=False), name="ViT-B-32")
    state = {**clip().state_dict(), "vocab_size": torch.tensor(60)}  # OpenAI's weights saved as a state dict
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(ValueError, match="QuickGELU"):
        load_weights(tmp_path / "state.pt", clip(quick_gelu=False))


def test_gelu_archive_never_runs_with_quick_gelu(tmp_path):
    path = save_torchscript(clip(quick_gelu=False), tmp_path / "own.pt")
    assert_same(load_weights(path, clip(quick_gelu=False)), clip(quick_gelu=False))
    with pytest.raises(ValueError, match=r"trained with GELU and ViT-B-32-quickgelu runs QuickGELU: use 'ViT-B-32'"):
        load_weights(path, clip(), name="ViT-B-32-quickgelu")


def test_tags_and_activation():
    assert find_source("ViT-B-16", "openai").model_cfg["quick_gelu"] is True
    assert find_source("ViT-B-16-quickgelu", "openai").model_cfg["quick_gelu"] is True
    assert not find_source("ViT-B-16", "laion2b_s34b_b88k").model_cfg.get("quick_gelu", False)
    with pytest.raises(ValueError, match=r"'metaclip_400m'.*QuickGELU.*use 'ViT-B-16-quickgelu'"):
        find_source("ViT-B-16", "metaclip_400m")
    with pytest.raises(ValueError, match=r"ViT-B-16-quickgelu has no tag 'laion2b_s34b_b88k'.*ViT-B-16 has it"):
        find_source("ViT-B-16-quickgelu", "laion2b_s34b_b88k")


def test_every_published_pair_is_resolved_or_told_its_twin():
    for name, tag in open_clip.list_pretrained():
        cfg = open_clip.get_pretrained_cfg(name, tag) if hasattr(open_clip, "get_pretrained_cfg") else None
        try:
            source = find_source(name, tag)
        except ValueError as error:
            assert "QuickGELU" in str(error) and "-quickgelu'" in str(error)
            continue
        if cfg and cfg.get("quick_gelu"):
            assert source.model_cfg["quick_gelu"]


def test_local_file_keeps_the_mean_that_all_weights_of_the_architecture_share(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pt")
    assert find_source("ViT-B-16-SigLIP", tmp_path / "w.pt").preprocess_cfg["mean"] == (0.5, 0.5, 0.5)
    assert "mean" not in find_source("ViT-L-14", tmp_path / "w.pt").preprocess_cfg  # its weights disagree


# ---- names, folders


def test_names_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match="did you mean ViT-B-32"):
        find_source("ViT-B-33")
    with pytest.raises(ValueError, match="local-dir:"):
        find_source(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_source("ViT-B-32", str(tmp_path / "nowhere.pt"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_source(f"local-dir:{tmp_path}/nowhere")
    with pytest.raises(FileNotFoundError, match=r"neither open_clip_config\.json"):
        find_source(f"local-dir:{tmp_path}")
    with pytest.raises(ValueError, match=r"has no tag 'opanai'.*did you mean 'openai'"):
        find_source("ViT-B-32", "opanai")
    with pytest.raises(ValueError, match="local-dir:"):
        find_source("ViT-B-32", str(tmp_path))


def test_open_clip_folders(tmp_path):
    from safetensors.torch import save_file

    config = tmp_path / "open_clip_config.json"
    with pytest.raises(FileNotFoundError):
        config.write_text(json.dumps({"model_cfg": SMALL}))
        find_source(f"local-dir:{tmp_path}")
    save_file(clip(False).state_dict(), tmp_path / "open_clip_model.safetensors")
    assert_same(build(find_source(f"local-dir:{tmp_path}")).state_dict(), clip(False))
    for text, message in (
        ("{", "not valid JSON"),
        ("[]", "JSON object"),
        ("{}", "model_cfg"),
        (json.dumps({"model_cfg": {"embed_dim": 4}}), "vision_cfg"),
        (json.dumps({"model_cfg": {**SMALL, "vision_cfg": {"wings": 2}}}), "wings"),
        (json.dumps({"model_cfg": {**SMALL, "vision_cfg": 3}}), "vision_cfg"),
    ):
        config.write_text(text)
        with pytest.raises(ValueError, match=message) as error:
            find_source(f"local-dir:{tmp_path}")
        assert "open_clip_config.json" in one_line(error)


def test_open_clip_folder_with_an_openai_archive_must_say_quick_gelu(tmp_path):
    save_torchscript(clip(), tmp_path / "weights.pt")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": SMALL}))
    with pytest.raises(ValueError, match="QuickGELU"):
        build(find_source(f"local-dir:{tmp_path}"))
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {**SMALL, "quick_gelu": True}}))
    assert runs_quick_gelu(build(find_source(f"local-dir:{tmp_path}")))


# ---- through FrozenCLIP


def test_from_pretrained_takes_archives_and_folders(tmp_path):
    config = tmp_path / "clipkit-test-small.json"
    for quick in (False, True):
        config.write_text(json.dumps({**SMALL, "quick_gelu": quick}))
        open_clip.add_model_config(config)
        path = save_torchscript(clip(quick_gelu=quick), tmp_path / f"{quick}.pt")
        built = FrozenCLIP.from_pretrained("clipkit-test-small", str(path))
        assert_same(built.model.state_dict(), clip(quick_gelu=quick))
    with pytest.raises(ValueError, match="trained with GELU and clipkit-test-small runs QuickGELU"):
        FrozenCLIP.from_pretrained("clipkit-test-small", str(tmp_path / "False.pt"))
    transformers_clip(tmp_path / "folder")
    built = FrozenCLIP.from_pretrained(f"local-dir:{tmp_path}/folder")
    assert built.image_size == (32, 32) and built.context_length == 12 and runs_quick_gelu(built)
    with pytest.raises(ValueError, match="pass tokenizer=") as error:  # 60 words are not CLIP's 49,408
        built.tokenize(["a cat"])
    one_line(error)
