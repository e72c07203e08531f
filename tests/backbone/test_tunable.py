"""TunableCLIP trains what it is told to, and nothing else."""

import pytest
import torch

from clipkit.backbone import FrozenCLIP, TunableCLIP, save_open_clip_folder
from clipkit.backbone.tune import tune
from support.backbone_models import D, photos, small_model, words, write_config
from support.clip_training import changed, state, train


@pytest.mark.parametrize("family", ["vit", "resnet", "timm-vit"])
@pytest.mark.parametrize("what", ["visual", "text", "logit_scale"])
def test_only_what_is_asked_changes(family, what):
    clip = TunableCLIP(small_model(family)).unfreeze(what)
    before = state(clip.model)
    train(clip, parameters=list(clip.parameters()))
    moved = changed(before, state(clip.model))
    assert moved
    for key in moved:
        is_visual, is_scale = key.startswith("visual."), key == "logit_scale"
        assert {"visual": is_visual, "logit_scale": is_scale, "text": not is_visual and not is_scale}[what], key


def test_patterns_open_single_blocks_and_freeze_closes_them():
    clip = TunableCLIP(small_model("vit")).unfreeze("visual.transformer.resblocks.2.*")
    before = state(clip.model)
    train(clip)
    assert all(key.startswith("visual.transformer.resblocks.2.") for key in changed(before, state(clip.model)))
    clip.freeze("all")
    assert not any(parameter.requires_grad for parameter in clip.model.parameters())
    with pytest.raises(ValueError, match="no weight has such a name"):
        clip.unfreeze("visual.blocks.*")


def test_all_trains_everything_that_the_loss_reaches():
    clip = TunableCLIP(small_model("vit")).unfreeze("all")
    assert all(parameter.requires_grad for parameter in clip.model.parameters())
    before = state(clip.model)
    train(clip, steps=1)
    assert set(before) - changed(before, state(clip.model)) == set()


def test_frozen_batch_norms_keep_their_statistics_and_open_ones_move():
    clip = TunableCLIP(small_model("resnet")).unfreeze("visual.layer4.*", "visual.attnpool.*")
    clip.train()
    before = state(clip.model)
    train(clip)
    moved = changed(before, state(clip.model))
    assert any(key.endswith("running_mean") and ".layer4." in key for key in moved)
    assert not any(key.startswith(("visual.layer1.", "visual.bn1.")) for key in moved)


@pytest.mark.parametrize("family", ["vit", "timm-vit", "eva"])
def test_adapters_start_as_the_identity_and_alone_learn(family):
    # In double: torch's attention rounds otherwise once its input asks for gradients.
    clip = TunableCLIP(small_model(family)).double()
    images, ids = photos(2, 3, 64, 64).double(), words([4, 5])
    image, dense, text = clip.encode_image(images), clip.features(images).dense, clip.encode_tokens(ids)
    clip.add_adapters("visual", layers=(0, -1), width=8)
    clip.add_adapters("text", width=8).double()
    assert set(clip.adapters) == {"visual_0", "visual_2", "text_0", "text_1"}
    assert (clip.encode_image(images) - image).abs().max() <= 1e-12
    assert (clip.features(images).dense - dense).abs().max() <= 1e-12
    assert (clip.encode_tokens(ids) - text).abs().max() <= 1e-12
    before, adapters = state(clip.model), state(clip.adapters)
    train(clip)
    assert not changed(before, state(clip.model))
    moved = changed(adapters, state(clip.adapters))
    assert {key.split(".")[0] for key in moved} == set(clip.adapters)
    assert (clip.encode_image(images) - image).abs().max() > 1e-4
    assert (clip.features(images).dense - dense).abs().max() > 1e-5


def test_adapters_survive_a_copy():
    import copy

    clip = TunableCLIP(small_model("vit"))
    clip.add_adapters("visual")
    twin = copy.deepcopy(clip)
    with torch.no_grad():
        twin.adapters["visual_1"].up.bias.fill_(1.0)
    images = photos(1, 3, 32, 32)
    assert not torch.equal(twin.encode_image(images), clip.encode_image(images))


def test_refusals():
    with pytest.raises(ValueError, match="need a transformer"):
        TunableCLIP(small_model("resnet")).add_adapters("visual")
    with pytest.raises(ValueError, match="blocks 0 to 2, not 7"):
        TunableCLIP(small_model("vit")).add_adapters("visual", layers=(7,))
    with pytest.raises(ValueError, match="precision='fp32'"):
        TunableCLIP(small_model("vit").half()).unfreeze("visual")


@pytest.mark.parametrize("family", ["vit", "timm-vit"])
def test_checkpointing_gives_the_same_gradients(family):
    grads = []
    for enable in (False, True):
        clip = tune(TunableCLIP(small_model(family)).double(), dict(unfreeze=["all"], checkpointing=enable))
        assert clip._tower.checkpointing is enable
        clip.encode_image(photos(2, 3, 32, 32).double(), normalize=False).square().sum().backward()
        grads.append([p.grad.clone() for p in clip.model.visual.parameters() if p.grad is not None])
    assert len(grads[0]) == len(grads[1]) > 10
    assert all((a - b).abs().max() <= 1e-10 * max(1, a.abs().max()) for a, b in zip(*grads))


def test_hash_follows_training():
    clip = TunableCLIP(small_model("vit")).unfreeze("logit_scale")
    before = clip.weights_hash
    train(clip, steps=1)
    assert clip.weights_hash != before


def test_a_trained_model_becomes_a_frozen_one(tmp_path):
    write_config(tmp_path, "clipkit-tunable-test", "timm-vit")
    clip = TunableCLIP.from_pretrained("clipkit-tunable-test").unfreeze("all")
    assert clip.embed_dim == D and clip.logit_scale == pytest.approx(1 / 0.07, rel=1e-4)
    folder = save_open_clip_folder(clip, tmp_path / "out", "fp32")
    frozen = FrozenCLIP.from_pretrained(f"local-dir:{folder}")
    clip.eval()
    images = photos(1, 3, 32, 32)
    assert torch.equal(frozen.encode_image(images), clip.encode_image(images).detach())
    clip.add_adapters("visual")
    with pytest.raises(ValueError, match="no place for in-encoder adapters"):
        save_open_clip_folder(clip, tmp_path / "out2")


def test_the_hash_counts_adapters():
    """Else a bank would answer with rows from before the adapters were trained."""
    clip = TunableCLIP(small_model("vit"))
    bare = clip.weights_hash
    assert bare == FrozenCLIP(small_model("vit")).weights_hash
    clip.add_adapters("text", width=4)
    fresh = clip.weights_hash
    with torch.no_grad():
        clip.adapters["text_0"].up.weight.add_(0.1)
    assert len({bare, fresh, clip.weights_hash}) == 3


def test_a_trained_adapter_is_not_replaced():
    clip = TunableCLIP(small_model("vit"))
    clip.add_adapters("text", layers=(0,), width=4)
    with pytest.raises(ValueError, match="has an adapter already"):
        clip.add_adapters("text", layers=(0,), width=4)
