"""timm's networks as towers: against timm's own intermediates, torchvision's ResNet, and files of weights."""

import threading

import pytest
import timm
import torch
import torch.nn.functional as F
from torchvision.models.resnet import Bottleneck, ResNet

from clipkit.nn import DPTDecoder, TimmPyramid, TimmTower
from support.closed_form import closed_form_
from support.decoder_parts import copy_into, wake_norms_

NAME = "vit_tiny_patch16_224"
SMALL = dict(embed_dim=24, depth=4, num_heads=2, img_size=64)


def tower(layers=(0, 1, 3), **options):
    return closed_form_(TimmTower(NAME, layers, model_args={**SMALL, **options})).eval()


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "options", [{}, dict(reg_tokens=2), dict(reg_tokens=2, no_embed_class=True), dict(pre_norm=True, pos_embed="none")]
)
def test_equals_timm(options):
    ours = tower(**options)
    theirs = timm.create_model(NAME, **SMALL, **options).eval()
    theirs.load_state_dict(ours.vit.state_dict(), strict=False)
    x = images(2, 3, 64, 64)
    wanted = theirs.forward_intermediates(
        x, indices=[0, 1, 3], norm=False, intermediates_only=True, return_prefix_tokens=True
    )
    maps, tokens = ours(x)
    assert ours.out_channels == [24] * 3 and ours.strides == [16] * 3
    for got, token, (grid, prefix) in zip(maps, tokens, wanted):
        torch.testing.assert_close(got, grid, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(token, prefix[:, 0], atol=1e-6, rtol=1e-6)


def test_blocks_can_be_computed_again():
    model, x = tower().train(), images(2, 3, 64, 64)
    runs = []
    model.vit.blocks[0].register_forward_pre_hook(lambda *_: runs.append(1))
    found = []
    for again in (False, True):
        model.checkpointing = again
        maps, _ = model(x)
        model.zero_grad()
        sum(one.square().sum() for one in maps).backward()
        found.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(runs) == 3  # once, and twice where the backward pass needs them again
    for once, twice in zip(*found, strict=True):
        torch.testing.assert_close(once, twice, rtol=1e-6, atol=1e-7)


def test_without_class_token_there_are_maps_alone():
    maps, tokens = tower(class_token=False, global_pool="avg")(images(1, 3, 64, 64))
    assert [tuple(m.shape) for m in maps] == [(1, 24, 4, 4)] * 3 and tokens == []


@pytest.mark.parametrize("align_corners", [False, True])
def test_positions_are_resized_bilinearly(align_corners):
    ours = tower()
    ours.align_corners = align_corners
    other = tower(img_size=(48, 96))
    state = ours.vit.state_dict()
    grid = state["pos_embed"][0, 1:].reshape(4, 4, 24)
    wanted = torch.empty(3, 6, 24)
    for i in range(3):
        for j in range(6):
            y = i * 3 / 2 if align_corners else min(max((i + 0.5) * 4 / 3 - 0.5, 0), 3)
            x = j * 3 / 5 if align_corners else min(max((j + 0.5) * 4 / 6 - 0.5, 0), 3)
            a, b = int(y), int(x)
            c, d, p, q = min(a + 1, 3), min(b + 1, 3), y - a, x - b
            top = (1 - q) * grid[a, b] + q * grid[a, d]
            wanted[i, j] = (1 - p) * top + p * ((1 - q) * grid[c, b] + q * grid[c, d])
    state["pos_embed"] = torch.cat([state["pos_embed"][:, :1], wanted.reshape(1, 18, 24)], dim=1)
    other.vit.load_state_dict(state)
    x = images(1, 3, 48, 96)
    torch.testing.assert_close(ours(x)[0], other(x)[0], atol=1e-6, rtol=1e-6)


def test_the_map_covers_images_of_any_size():
    ours = tower()
    maps, _ = ours(images(1, 3, 50, 70))
    assert maps[0].shape == (1, 24, 4, 5)
    whole = F.interpolate(images(1, 3, 50, 70), (64, 80), mode="bilinear", align_corners=False)
    assert torch.equal(maps[0], ours(whole)[0][0])
    assert ours(images(1, 3, 5, 5))[0][0].shape == (1, 24, 1, 1)


def test_only_what_the_maps_need_is_kept():
    assert TimmTower(NAME, (0, -3), model_args=SMALL).layers == [0, 1]
    ours = tower(layers=(0, 2))
    assert len(ours.vit.blocks) == 3 and not [key for key in ours.vit.state_dict() if key.startswith(("norm", "head"))]
    sum(m.sum() + t.sum() for m, t in zip(*ours(images(1, 3, 64, 64)))).backward()
    assert all(p.grad is not None for p in ours.parameters())


def test_two_towers_in_two_threads_do_not_see_each_other():
    """The original keeps its maps in one dictionary of the module, filled by hooks of every instance."""
    a, b = tower(), tower()
    b.vit.cls_token.data += 1
    x = images(2, 3, 64, 64)
    alone = {"a": a(x), "b": b(x)}
    assert not torch.equal(alone["a"][0][0], alone["b"][0][0])
    assert not [m for m in a.modules() if m._forward_hooks or m._forward_pre_hooks]
    found: dict = {"a": [], "b": []}
    turn = threading.Barrier(2)

    def wait(block):
        forward = block.forward

        def slow(y):
            turn.wait()  # the other tower computes the same block now
            return forward(y)

        block.forward = slow

    for block in (*a.vit.blocks, *b.vit.blocks):
        wait(block)
    threads = [threading.Thread(target=lambda n=n, t=t: found[n].append(t(x))) for n, t in (("a", a), ("b", b))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, maps in alone.items():
        torch.testing.assert_close(found[name][0], maps, atol=0, rtol=0)


@pytest.mark.parametrize(("patch", "factors"), [(16, (4, 2, 1, 0.5)), (32, (8, 4, 2, 1))])
def test_the_tower_and_dpt_equal_transformers(patch, factors):
    dpt = pytest.importorskip("transformers.models.dpt.modeling_dpt")
    ours = tower(layers=(0, 1, 2, 3), patch_size=patch, img_size=4 * patch)
    decoder = DPTDecoder(ours.out_channels, features=8, channels=(8, 12, 16, 16), factors=factors)
    config = dpt.DPTConfig(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=96,
        image_size=4 * patch,
        patch_size=patch,
        layer_norm_eps=1e-6,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 12, 16, 16],
        reassemble_factors=list(factors),
        fusion_hidden_size=8,
        use_batch_norm_in_fusion_residual=True,
        use_bias_in_fusion_residual=False,
        readout_type="project",
        is_hybrid=False,
    )
    theirs = dpt.DPTModel(config, add_pooling_layer=False).eval()
    neck = wake_norms_(closed_form_(dpt.DPTNeck(config)))
    copy_into(decoder, neck)
    vit = ours.vit
    theirs.embeddings.cls_token.data = vit.cls_token.data
    theirs.embeddings.position_embeddings.data = vit.pos_embed.data
    theirs.embeddings.patch_embeddings.projection.load_state_dict(vit.patch_embed.proj.state_dict())
    for mine, other in zip(vit.blocks, theirs.encoder.layer):
        pairs = {
            mine.attn.proj: other.attention.output.dense,
            mine.mlp.fc1: other.intermediate.dense,
            mine.mlp.fc2: other.output.dense,
            mine.norm1: other.layernorm_before,
            mine.norm2: other.layernorm_after,
        }
        for a, b in pairs.items():
            b.load_state_dict(a.state_dict())
        for i, name in enumerate(("query", "key", "value")):
            part = getattr(other.attention.attention, name)
            part.weight.data = mine.attn.qkv.weight.data.chunk(3)[i]
            part.bias.data = mine.attn.qkv.bias.data.chunk(3)[i]
    x = images(2, 3, 2 * patch, 6 * patch)  # another grid than that of the positions
    with torch.no_grad():
        states = theirs(x, output_hidden_states=True).hidden_states[1:]
        wanted = neck(list(states), 2, 6)[-1]
        maps, tokens = ours(x)
        got = decoder.eval()(maps, tokens)
    for grid, token, state in zip(maps, tokens, states):
        torch.testing.assert_close(token, state[:, 0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(grid.flatten(2).transpose(1, 2), state[:, 1:], atol=1e-5, rtol=1e-5)
    assert got.shape == wanted.shape == (2, 8, 4 * factors[0], 12 * factors[0])
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


def save(state, path):
    torch.save(state, path)
    return str(path)


def test_weights_from_a_file(tmp_path):
    whole = closed_form_(timm.create_model(NAME, **SMALL))
    ours = TimmTower(NAME, (0, 2), weights=save(whole.state_dict(), tmp_path / "a.pth"), model_args=SMALL)
    assert torch.equal(ours.vit.blocks[2].mlp.fc1.weight, whole.blocks[2].mlp.fc1.weight)
    short = {key: value for key, value in whole.state_dict().items() if "blocks.1" not in key}
    with pytest.raises(ValueError, match=r"b\.pth: not the weights of vit_tiny.*: lacks blocks\.1\.norm1"):
        TimmTower(NAME, (0, 2), weights=save(short, tmp_path / "b.pth"), model_args=SMALL)
    with pytest.raises(ValueError, match=r"a\.pth: not the weights .* size mismatch for pos_embed"):
        TimmTower(NAME, (0, 2), weights=str(tmp_path / "a.pth"), model_args={**SMALL, "img_size": 32})
    with pytest.raises(FileNotFoundError, match="no such file"):
        TimmTower(NAME, (0, 2), weights=str(tmp_path / "c.pth"), model_args=SMALL)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="timm has no network vit_larg_patch16_384; did you mean"):
        TimmTower("vit_larg_patch16_384")
    with pytest.raises(ValueError, match=r"blocks 0\.\.3; give some, in ascending order"):
        TimmTower(NAME, (0, 4), model_args=SMALL)
    with pytest.raises(ValueError, match="in ascending order"):
        TimmTower(NAME, (2, 1), model_args=SMALL)
    with pytest.raises(ValueError, match=r"is a ResNet.*TimmPyramid"):
        TimmTower("resnet18")


def test_pyramid_equals_torchvision(tmp_path):
    theirs = closed_form_(ResNet(Bottleneck, [1, 2, 1, 1])).eval()
    for part in theirs.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.copy_(torch.linspace(-0.1, 0.1, part.num_features))
            part.running_var.copy_(torch.linspace(0.5, 1.5, part.num_features))
    weights = save({"state_dict": theirs.state_dict()}, tmp_path / "rn.pth")
    ours = TimmPyramid("resnet101", weights=weights, model_args=dict(layers=(1, 2, 1, 1))).eval()
    assert ours.out_channels == [256, 512, 1024, 2048] and ours.strides == [4, 8, 16, 32]
    x = images(1, 3, 64, 96)
    with torch.no_grad():
        y = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
        wanted = [y := layer(y) for layer in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4)]
        for got, want in zip(ours(x), wanted):
            torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="timm has no network"):
        TimmPyramid("resnet")
