"""Local files of weights: every good layout gives open_clip's own tensors, every bad file ends in one line."""

import io
import json
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from conftest import closed_form_

from clipkit.backbone import FrozenCLIP
from clipkit.backbone._load import find_source, load_weights, runs_quick_gelu
from clipkit.backbone._load_torchscript import read_torchscript
from clipkit.safe import file_kind, load_tensors

SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"layers": 2, "width": 64, "head_width": 32, "patch_size": 8, "image_size": 32},
    "text_cfg": {"context_length": 12, "vocab_size": 60, "width": 32, "heads": 2, "layers": 2},
}


def clip(quick_gelu=True, **vision):
    cfg = {**SMALL, "vision_cfg": {**SMALL["vision_cfg"], **vision}}
    return closed_form_(open_clip.CLIP(**cfg, quick_gelu=quick_gelu)).eval()


class OpenAILike(torch.nn.Module):
    """open_clip's small CLIP with the three numbers that OpenAI's exports carry as buffers."""

    def __init__(self, model):
        super().__init__()
        for name, child in model.named_children():
            setattr(self, name, child)
        for name, parameter in model.named_parameters(recurse=False):
            setattr(self, name, parameter)
        self.register_buffer("attn_mask", model.attn_mask)
        for name, number in (("input_resolution", 32), ("context_length", 12), ("vocab_size", 60)):
            self.register_buffer(name, torch.tensor(number))
        self.model = [model]  # out of the module tree, for the traced forward

    def forward(self, image, text):
        return self.model[0](image, text)[0] + (self.input_resolution + self.context_length + self.vocab_size) * 0


def save_torchscript(model, path):
    """What OpenAI's release is: a traced, half-precision program with its weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = (torch.rand(1, 3, 32, 32), torch.arange(12)[None])
        torch.jit.save(torch.jit.trace(OpenAILike(model), example, check_trace=False), str(path))
    return path


def assert_same(state, model):
    expected = model.state_dict()
    assert list(state) == list(expected)
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value, rtol=0, atol=0, check_dtype=False)
    torch.nn.Module.load_state_dict(model, state, strict=True)


def one_line(error):
    text = str(error.value)
    assert "\n" not in text and len(text) < 600
    return text


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


# ---- transformers folders


def transformers_clip(folder, hidden_act="quick_gelu", **vision):
    transformers = pytest.importorskip("transformers")
    text = {"hidden_size": 32, "intermediate_size": 72, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"vocab_size": 60, "max_position_embeddings": 12, "eos_token_id": 59, "hidden_act": hidden_act}
    image = {"hidden_size": 64, "intermediate_size": 100, "num_hidden_layers": 2, "num_attention_heads": 4}
    image |= {"image_size": 32, "patch_size": 8, "hidden_act": hidden_act} | vision
    config = transformers.CLIPConfig(text_config=text, vision_config=image, projection_dim=16)
    model = closed_form_(transformers.CLIPModel(config)).eval()
    model.save_pretrained(folder)
    return model


def build(source):
    with source.factory_name() as name:
        model = open_clip.create_model(name, load_weights=False)
    model.load_state_dict(load_weights(source.weights, model, name=source.name))
    return model.eval()


@pytest.mark.parametrize("hidden_act", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_transformers_folder_equals_transformers(tmp_path, hidden_act, file):
    theirs = transformers_clip(tmp_path, hidden_act)
    if file.endswith(".bin"):
        (tmp_path / "model.safetensors").unlink()
        torch.save(theirs.state_dict(), tmp_path / file)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    source = find_source(f"local-dir:{tmp_path}")
    assert source.kind == "transformers_folder" and source.preprocess_cfg["mean"] == (0.5, 0.5, 0.5)
    ours = build(source)
    assert runs_quick_gelu(ours) == (hidden_act == "quick_gelu")
    image = torch.sin(torch.arange(2 * 3 * 32 * 32).float()).reshape(2, 3, 32, 32)
    text = torch.tensor([[58, 3, 4, 59] + [0] * 8, [58, *range(10), 59]])
    with torch.no_grad():
        out = theirs(pixel_values=image, input_ids=text)
        torch.testing.assert_close(ours.encode_image(image, normalize=True), out.image_embeds, rtol=0, atol=1e-5)
        torch.testing.assert_close(ours.encode_text(text, normalize=True), out.text_embeds, rtol=0, atol=1e-5)


def test_transformers_shards(tmp_path):
    theirs = transformers_clip(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    source = find_source(f"local-dir:{tmp_path}")
    torch.testing.assert_close(build(source).visual.proj, theirs.visual_projection.weight.T)


def test_folder_that_describes_both(tmp_path):
    """Published folders often carry both configurations; the weights decide."""
    transformers_clip(tmp_path)
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {**SMALL, "quick_gelu": True}}))
    assert find_source(f"local-dir:{tmp_path}").kind == "transformers_folder"
    torch.save(clip().state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    source = find_source(f"local-dir:{tmp_path}")
    assert source.kind == "open_clip_folder" and source.weights.name == "open_clip_pytorch_model.bin"


def test_transformers_file_where_open_clip_is_expected(tmp_path):
    transformers_clip(tmp_path)
    with pytest.raises(ValueError, match=r"transformers' CLIPModel.*local-dir:") as error:
        load_weights(tmp_path / "model.safetensors", clip())
    one_line(error)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "siglip", "architectures": ["SiglipModel"]}, "SiglipModel"),
        ({"vision_config": {"hidden_act": "relu"}}, "hidden_act"),
        ({"text_config": {"hidden_size": 0}}, "hidden_size"),
        ({"text_config": {"hidden_size": "32"}}, "hidden_size"),
    ],
)
def test_other_transformers_models_are_refused(tmp_path, change, message):
    transformers_clip(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for key, value in change.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message) as error:
        find_source(f"local-dir:{tmp_path}")
    assert "config.json" in one_line(error)


def test_shards_stay_in_their_folder(tmp_path):
    transformers_clip(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    with pytest.raises(ValueError, match="outside its folder"):
        load_weights(tmp_path, clip())


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
