"""Frozen means frozen; and the tokenizer, the hash, precision and devices."""

import copy

import pytest
import torch
from torch import nn

from clipkit.backbone import FrozenCLIP, TunableCLIP, save_open_clip_folder
from support.backbone_models import D, photos, small_model, words, write_config


def state(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Host(nn.Module):
    def __init__(self, family):
        super().__init__()
        self.clip = FrozenCLIP(small_model(family))
        self.head = nn.Linear(D, 3)

    def forward(self, images):
        return self.head(self.clip.features(images).dense.mean((2, 3)))


@pytest.mark.parametrize("family", ["vit", "resnet"])
def test_training_a_host_leaves_it_bit_identical(family):
    host = Host(family)
    before, first = state(host.clip), state(host.head)
    host.requires_grad_(True)  # a careless parent
    host.train()
    assert not any(module.training for module in host.clip.modules())
    optimizer = torch.optim.AdamW(host.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        host(photos(2, 3, 64, 64)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert same(before, state(host.clip))
    assert not same(first, state(host.head))


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_no_gradient_that_passes_through_it_reaches_its_weights(optimizer):
    class Behind(nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.clip = nn.Conv2d(3, 3, 1), FrozenCLIP(small_model("vit"))

    host = Behind().requires_grad_(True)  # a careless parent, and its optimiser right then
    steps = optimizer(host.parameters(), lr=0.1, weight_decay=0.1)
    before, first = state(host.clip), state(host.before)
    for _ in range(2):
        host.clip(host.before(photos(2, 3, 32, 32)).sigmoid()).sum().backward()
        steps.step()
        steps.zero_grad(set_to_none=False)
    assert same(before, state(host.clip)) and not same(first, state(host.before))


def test_a_parent_saves_it_only_on_request():
    host, other = Host("vit"), Host("vit")
    for value in other.clip.state_dict().values():
        value.zero_()
    alone = host.state_dict()
    assert list(alone) == ["head.weight", "head.bias"]
    assert set(host.clip.state_dict()) == {f"model.{key}" for key in host.clip.model.state_dict()}
    nn.Sequential(other).load_state_dict({f"0.{key}": value for key, value in alone.items()}, strict=True)
    assert same(host.head.state_dict(), other.head.state_dict()) and not other.clip.model.visual.proj.any()

    host.clip.save_with_parent = True
    whole = copy.deepcopy(host).state_dict()
    other.load_state_dict(whole, strict=True)  # what a file holds is read, as of any module
    assert same(state(host.clip), state(other.clip)) and host.clip.weights_hash == other.clip.weights_hash
    host.load_state_dict(alone, strict=True)
    del whole["clip.model.visual.proj"]
    with pytest.raises(RuntimeError, match=r'Missing key.*"clip\.model\.visual\.proj"'):
        other.load_state_dict(whole)
    with pytest.raises(RuntimeError, match="Missing key"):
        host.clip.load_state_dict({})


def test_a_parent_saves_what_may_have_trained():
    host = nn.ModuleDict({"clip": TunableCLIP(small_model("vit"))})
    assert set(host.state_dict()) == {f"clip.{key}" for key in host["clip"].state_dict()} != set()


def test_data_parallel_training_of_a_host(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/ranks", rank=0, world_size=1)
    try:
        host = nn.parallel.DistributedDataParallel(Host("timm-vit"))
        before = state(host.module.clip)
        host.train()
        host(photos(1, 3, 32, 16)).sum().backward()
        assert all(parameter.grad is not None for parameter in host.module.head.parameters())
        assert same(before, state(host.module.clip))
    finally:
        torch.distributed.destroy_process_group()


def test_no_graph_unless_the_input_asks():
    clip = FrozenCLIP(small_model("vit"))
    assert not any(parameter.requires_grad for parameter in clip.parameters())
    images = photos(1, 3, 32, 32)
    seen = clip.features(images, layers=(0,))
    tensors = [seen.embedding, seen.dense, seen.penultimate, *seen.maps, *seen.cls, clip.encode_tokens(words([4]))]
    assert all(tensor.grad_fn is None and not tensor.requires_grad for tensor in tensors)
    assert not any(tensor.is_inference() for tensor in tensors), "a host's layers must be able to save them"

    clip.requires_grad_(True)
    asking = images.clone().requires_grad_()
    clip.features(asking).dense.sum().backward()
    assert asking.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in clip.parameters())
    with torch.no_grad():
        assert clip.encode_image(asking).grad_fn is None


def test_soft_prompts_get_gradients_through_the_frozen_text_tower():
    clip = FrozenCLIP(small_model("vit"))
    ids = words([4, 5, 6])
    context = clip.embed_tokens(ids).clone().requires_grad_()
    clip.encode_embeddings(context, ids.argmax(-1)).sum().backward()
    eot = int(ids.argmax(-1))
    assert context.grad[0, : eot + 1].abs().sum(-1).min() > 0
    assert context.grad[0, eot + 1 :].abs().sum() == 0
    assert all(parameter.grad is None for parameter in clip.parameters())


def test_copies_are_independent():
    clip = FrozenCLIP(small_model("timm-vit"))
    images = photos(1, 3, 32, 16)
    twin = copy.deepcopy(clip)
    before = clip.encode_image(images)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(clip.encode_image(images), before)
    assert not torch.equal(twin.encode_image(images, normalize=False), clip.encode_image(images, normalize=False))


def test_hash_follows_names_dtypes_and_bytes():
    clip, other = FrozenCLIP(small_model("vit")), FrozenCLIP(small_model("vit"))
    assert clip.weights_hash == other.weights_hash and len(clip.weights_hash) == 64
    changed = state(other)
    key = "model.visual.proj"
    changed[key][0, 0] = torch.nextafter(changed[key][0, 0], torch.tensor(9.0))
    other.load_state_dict(changed)
    assert clip.weights_hash != other.weights_hash
    clip.model.load_state_dict(other.model.state_dict())  # the bare model, past FrozenCLIP's own methods
    assert clip.weights_hash == other.weights_hash
    assert copy.deepcopy(clip).double().weights_hash != clip.weights_hash


def test_normalisation_is_the_models_own_and_survives_half_and_double():
    clip = FrozenCLIP(small_model("vit"), preprocess_cfg={"mean": (0.5, 0.5, 0.5), "std": (0.1, 0.2, 0.3)})
    clip.half().double()
    assert clip._std.flatten().tolist() == [0.1, 0.2, 0.3]
    assert clip.bfloat16()._mean.dtype == torch.float32
    assert clip.preprocess_cfg["mean"] == (0.5, 0.5, 0.5)


def test_preprocess_resizes_and_does_not_normalise():
    from PIL import Image

    clip = FrozenCLIP(small_model("vit"))
    tensor = clip.preprocess(Image.new("RGB", (50, 40), (255, 0, 51)))
    assert tensor.shape == (3, 32, 32)
    assert torch.allclose(tensor.mean((1, 2)), torch.tensor([1.0, 0.0, 0.2]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["vit", "timm-vit", "resnet", "convnext"])
def test_half_precision_stays_near(family, dtype):
    clip = FrozenCLIP(small_model(family))
    images = photos(1, 3, *clip.image_size)
    exact = clip.features(images)
    near = clip.to(dtype).features(images)
    assert near.dense.dtype == dtype
    cosine = torch.nn.functional.cosine_similarity(near.embedding.float(), exact.embedding)
    assert cosine.min() > 0.99


def test_channels_last_changes_nothing():
    for family in ("vit", "timm-vit", "convnext"):
        clip = FrozenCLIP(small_model(family))
        images = photos(2, 3, *clip.image_size)
        before = clip.features(images)
        after = clip.to(memory_format=torch.channels_last).features(images.to(memory_format=torch.channels_last))
        assert (before.dense - after.dense).abs().max() <= 1e-5
        assert (before.embedding - after.embedding).abs().max() <= 1e-5


def test_compiles_in_one_graph():
    """Traced by dynamo as a whole; the eager backend leaves out code generation, which costs minutes on a CPU."""
    clip = FrozenCLIP(small_model("vit"))
    images = photos(1, 3, 32, 32)
    compiled = torch.compile(clip.encode_image, backend="eager", fullgraph=True)
    assert (compiled(images) - clip.encode_image(images)).abs().max() <= 1e-6


def test_long_prompts_warn_with_what_is_cut(tmp_path):
    write_config(tmp_path, "clipkit-frozen-test", "vit")
    clip = FrozenCLIP.from_pretrained("clipkit-frozen-test")
    with pytest.warns(UserWarning, match="cut: 'p q r'"):
        ids = clip.tokenize(["a b c d e f g h i j k l m n p q r"])
    assert ids.shape == (1, 16) and ids.dtype == torch.int64
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clip.tokenize(["a b c d e f g h i j k l m n", "short"]).shape == (2, 16)
        assert clip.tokenize([]).shape == (0, 16)
    with pytest.raises(ValueError, match="prompts are strings"):
        clip.tokenize([3])


def test_folder_round_trip(tmp_path):
    write_config(tmp_path, "clipkit-folder-test", "vit-quickgelu")
    clip = FrozenCLIP.from_pretrained("clipkit-folder-test")
    for precision, bar in (("fp32", 0.0), ("fp16", 2e-3)):
        folder = save_open_clip_folder(clip, tmp_path / precision, precision)
        again = FrozenCLIP.from_pretrained(f"local-dir:{folder}")
        assert sorted(p.name for p in folder.iterdir()) == ["open_clip_config.json", "open_clip_model.safetensors"]
        images = photos(1, 3, 32, 32)
        assert (again.encode_image(images) - clip.encode_image(images)).abs().max() <= bar
        assert (again.encode_text(["hi"]) - clip.encode_text(["hi"])).abs().max() <= bar
        assert (again.weights_hash == clip.weights_hash) == (precision == "fp32")
    with pytest.raises(ValueError, match="model_cfg"):
        save_open_clip_folder(FrozenCLIP(small_model("vit")), tmp_path / "no")


def test_names_that_do_not_exist_are_refused_in_one_line(tmp_path):
    for name, pretrained, kind in [
        ("ViT-B-17", None, ValueError),
        ("ViT-B-32", "no_such_tag", ValueError),
        ("ViT-B-32", str(tmp_path / "no.pt"), FileNotFoundError),
        ("local-dir:" + str(tmp_path / "no"), None, FileNotFoundError),
        ("ViT-B-32", "metaclip_400m", ValueError),  # trained with QuickGELU
    ]:
        with pytest.raises(kind) as caught:
            FrozenCLIP.from_pretrained(name, pretrained)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 900
    assert "QuickGELU" in str(caught.value) and "ViT-B-32-quickgelu" in str(caught.value)
    with pytest.raises(ValueError, match="known: fp32, bf16, fp16"):
        FrozenCLIP.from_pretrained("ViT-B-32", precision="int8")


def test_missing_hugging_face_parts_leave_the_images_working(tmp_path, monkeypatch):
    import json

    import open_clip

    from clipkit.backbone import _build, clip
    from support.backbone_models import CONFIGS, TEXT

    monkeypatch.setattr(_build, "hub_reachable", lambda: False)
    monkeypatch.setattr(clip, "hub_reachable", lambda: False)
    tower = {"hf_model_name": "clipkit-test/no-such-tower", "hf_tokenizer_name": "clipkit-test/no-such-tower"}
    tokens = {**TEXT, "hf_tokenizer_name": "clipkit-test/no-such-tokenizer"}
    for name, text in (("clipkit-hf-tower", tower), ("clipkit-hf-tokens", tokens)):
        config = {"embed_dim": D, **CONFIGS["vit"], "text_cfg": text}
        (tmp_path / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(tmp_path / f"{name}.json")
        frozen = FrozenCLIP.from_pretrained(name)
        assert frozen.encode_image(photos(1, 3, 32, 32)).shape == (1, D)
        with pytest.raises(ValueError, match="clipkit-test/no-such") as caught:
            frozen.encode_text(["a cat"])
        assert "\n" not in str(caught.value)
    assert frozen.encode_tokens(words([3])).shape == (1, D)  # only the tokenizer is missing
    injected = FrozenCLIP.from_pretrained("clipkit-hf-tokens", tokenizer=lambda texts: words(*[[3] for _ in texts]))
    assert injected.encode_text(["a", "b"]).shape == (2, D)


def test_visual_weights_load_from_a_file_without_the_text_tower(tmp_path, monkeypatch):
    import json

    import open_clip

    from clipkit.backbone import _build
    from support.backbone_models import CONFIGS

    monkeypatch.setattr(_build, "hub_reachable", lambda: False)
    config = {"embed_dim": D, **CONFIGS["vit"], "text_cfg": {"hf_model_name": "clipkit-test/no-such-tower"}}
    (tmp_path / "clipkit-hf-file.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "clipkit-hf-file.json")
    source = small_model("vit", custom_text=True)
    torch.save(source.state_dict(), tmp_path / "w.pt")
    clip = FrozenCLIP.from_pretrained("clipkit-hf-file", str(tmp_path / "w.pt"))
    assert same(state(clip.model.visual), state(source.visual))


def test_weights_that_a_parent_loads_have_another_hash():
    clip, other = FrozenCLIP(small_model("vit")), small_model("vit")
    with torch.no_grad():
        other.logit_scale.add_(1)
    before = clip.weights_hash
    parent = torch.nn.Sequential(clip)
    parent.load_state_dict({f"0.model.{key}": value for key, value in other.state_dict().items()})
    assert clip.weights_hash != before
    assert clip.weights_hash == FrozenCLIP(other).weights_hash


@pytest.mark.parametrize("family, least", [("resnet", 31), ("convnext", 32)])
def test_images_too_small_for_a_convolutional_tower_are_refused_in_one_line(family, least):
    clip = FrozenCLIP(small_model(family))
    assert clip.encode_image(photos(1, 3, least, 64)).shape == (1, D)
    with pytest.raises(ValueError, match=f"{least - 1}x64 pixels; this tower needs {least} or more"):
        clip.encode_image(photos(1, 3, least - 1, 64))


def test_a_clip_that_was_built_in_inference_mode_has_its_hash():
    with torch.inference_mode():
        clip = FrozenCLIP(small_model("vit"))
        inside = clip.weights_hash
        next(clip.model.parameters()).add_(1.0)
        assert clip.weights_hash != inside
