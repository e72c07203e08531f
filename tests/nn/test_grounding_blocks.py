"""BiFuse against mmdet's fusion block, TextLayer against transformers' BERT, DyConv against mmdet's and loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from clipkit.nn import BiFuse, DyConv, DyReLU, TextLayer
from support.closed_form import closed_form_

FUSE = {
    "layer_norm_v": "norm_v",
    "layer_norm_l": "norm_l",
    "attn.v_proj": "query",
    "attn.l_proj": "key",
    "attn.values_v_proj": "value_v",
    "attn.values_l_proj": "value_l",
    "attn.out_v_proj": "out_v",
    "attn.out_l_proj": "out_l",
}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def renamed(state, table):
    """A state dict with the names before `.weight` and `.bias` looked up."""
    out = {}
    for key, value in state.items():
        name, _, kind = key.rpartition(".")
        out[f"{table.get(name, name)}.{kind}" if name else table.get(key, key)] = value
    return out


def test_fusion_is_mmdets():
    import clipkit.engine  # noqa: F401  (before mmdet)

    pytest.importorskip("mmdet")
    from mmdet.models.utils.vlfuse_helper import BiAttentionBlock

    theirs = closed_form_(BiAttentionBlock(16, 24, 32, 4, init_values=1 / 6), 0.4).eval()
    ours = BiFuse(16, 24, 32, 4).eval()
    ours.load_state_dict(renamed(theirs.state_dict(), {**FUSE, "gamma_v": "scale_v", "gamma_l": "scale_l"}))
    vision, text = noise(2, 21, 16), noise(2, 7, 24, seed=1)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 4:] = False
    wanted = theirs.single_attention_call(vision, text, attention_mask_l=mask.long())
    found = ours(vision, text, mask)
    for a, b in zip(found, wanted):
        assert (a - b).abs().max() <= 1e-5
    assert not torch.allclose(found[0], F.layer_norm(vision, (16,)))  # it does something


def test_fusion_does_not_read_the_padding_and_names_bad_heads():
    block = BiFuse(8, 8, 16, 2).eval()
    vision, text = noise(1, 5, 8), noise(1, 4, 8, seed=1)
    mask = torch.tensor([[True, True, False, False]])
    long, short = block(vision, text, mask)[0], block(vision, text[:, :2], mask[:, :2])[0]
    assert (long - short).abs().max() <= 1e-6
    with pytest.raises(ValueError, match="3 heads do not divide a width of 16"):
        BiFuse(8, 8, 16, 3)


def test_text_layer_is_berts():
    pytest.importorskip("transformers")
    from clipkit_plugins.glip.convert import BERT_LAYER
    from transformers import BertConfig
    from transformers.models.bert.modeling_bert import BertLayer

    config = BertConfig(hidden_size=24, num_attention_heads=3, intermediate_size=40, attn_implementation="eager")
    theirs = closed_form_(BertLayer(config), 0.4).eval()
    ours = TextLayer(24, 3, 40).eval()
    ours.load_state_dict(renamed(theirs.state_dict(), BERT_LAYER))
    x = noise(2, 6, 24)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[1, 3:] = False
    additive = (~mask[:, None, None]).float() * torch.finfo(torch.float32).min
    wanted = theirs(x, additive)
    found = ours(x, mask[:, None])
    assert (found - wanted)[mask].abs().max() <= 1e-5


def test_blocks_of_a_text_do_not_read_each_other():
    layer = closed_form_(TextLayer(8, 2), 0.5).eval()
    x = noise(1, 5, 8)
    group = torch.tensor([0, 0, 1, 1, 1])
    together = layer(x, (group[:, None] == group)[None])
    alone = layer(x[:, 2:], torch.ones(1, 3, 3, dtype=torch.bool))
    assert (together[:, 2:] - alone).abs().max() <= 1e-6
    assert (layer(x, torch.ones(1, 5, 5, dtype=torch.bool)) - together).abs().max() > 1e-3


def pyramid(channels=16, seed=0):
    return [noise(2, channels, size, size, seed=seed + i) for i, size in enumerate((8, 4, 2))]


def test_plain_dyconv_is_loops_over_the_paper():
    """Without offsets: the mean over three levels, each times hardsigmoid(relu(w . mean + b)), and the dynamic ReLU."""
    block = closed_form_(DyConv(16, 16, None), 0.3).double()
    levels = [level.double() for level in pyramid()]
    found = block(levels)

    def conv(part, x, stride):
        x = F.conv2d(x, part.conv.weight, part.conv.bias, stride, 1)
        return F.group_norm(x, 16, part.norm.weight, part.norm.bias)

    for i, level in enumerate(levels):
        parts = [conv(block.same, level, 1)]
        if i:
            parts.append(conv(block.finer, levels[i - 1], 2))
        if i < 2:
            coarse = conv(block.coarser, levels[i + 1], 1)
            parts.append(F.interpolate(coarse, level.shape[-2:], mode="bilinear", align_corners=True))
        for b in range(2):
            total = torch.zeros_like(parts[0][b])
            for part in parts:
                logit = sum(float(block.weigh.weight[0, c]) * float(part[b, c].mean()) for c in range(16))
                logit = max(logit + float(block.weigh.bias), 0.0)
                total += min(max((logit + 3) / 6, 0.0), 1.0) * part[b]
            mean = total / len(parts)
            assert (found[i][b] - block.relu(mean[None])[0]).abs().max() <= 1e-9


def test_dynamic_relu_is_its_formula():
    relu = closed_form_(DyReLU(4), 0.8).double()
    x = noise(1, 4, 3, 3).double()
    found = relu(x)
    said = relu.fc(x.mean((2, 3)))[0].tolist()
    said = [min(max((s + 3) / 6, 0.0), 1.0) for s in said]
    for c in range(4):
        a1, b1, a2, b2 = (said[c + 4 * k] for k in range(4))
        for i in range(3):
            for j in range(3):
                v = float(x[0, c, i, j])
                wanted = max(v * ((a1 - 0.5) * 2 + 1) + b1 - 0.5, v * (a2 - 0.5) * 2 + b2 - 0.5)
                assert abs(float(found[0, c, i, j]) - wanted) <= 1e-9


def test_offsets_of_a_level_reach_the_coarser_one_as_the_kernel_reads_them():
    """By hand at one place: sample positions from the flat memory of the finer level's offsets."""
    block = closed_form_(DyConv(16, 16, "kernel"), 0.3)
    levels = pyramid()
    offset, mask = block._steer(levels[0])
    taken, weights = block._fit(offset, mask, levels[1])
    assert taken.shape == (2, 18, 4, 4) and weights.shape == (2, 9, 4, 4)
    flat, flat_mask = offset[1].reshape(-1), mask[1].reshape(-1)
    for k in (0, 5, 17):
        for y, x in ((0, 0), (3, 2)):
            assert taken[1, k, y, x] == flat[k * 16 + y * 4 + x]
            if k < 9:
                assert weights[1, k, y, x] == flat_mask[k * 16 + y * 4 + x]


def test_offsets_kernel_is_mmdets_dyhead():
    """mmdet's neck hands a level's offsets to the coarser one too; our operator reads them as mmcv's kernel does."""
    import clipkit.engine  # noqa: F401  (before mmdet)

    pytest.importorskip("mmdet")
    from mmdet.models.necks.dyhead import DyHeadBlock

    theirs = closed_form_(DyHeadBlock(16, 16), 0.3)
    ours = DyConv(16, 16, "kernel")
    table = {
        **{f"spatial_conv_{a}.conv": f"{b}.conv" for a, b in (("high", "coarser"), ("mid", "same"), ("low", "finer"))},
        **{f"spatial_conv_{a}.norm": f"{b}.norm" for a, b in (("high", "coarser"), ("mid", "same"), ("low", "finer"))},
        "spatial_conv_offset": "offset",
        "scale_attn_module.1": "weigh",
        "task_attn_module.conv1.conv": "relu.fc.0",
        "task_attn_module.conv2.conv": "relu.fc.2",
    }
    state = renamed(theirs.state_dict(), table)
    state = {k: v[:, :, 0, 0] if k.startswith("relu") and v.ndim == 4 else v for k, v in state.items()}
    state |= {f"{part}.conv.bias": torch.zeros(16) for part in ("coarser", "same", "finer")}
    ours.load_state_dict(state)
    for a, b in zip(ours(pyramid()), theirs(pyramid())):
        assert (a - b).abs().max() <= 1e-5


def test_ways_of_offsets_differ_and_unknown_ones_are_named():
    outs = []
    for way in ("kernel", "resize"):
        torch.manual_seed(0)
        block = closed_form_(DyConv(16, 16, way), 0.3)
        levels = [level.requires_grad_() for level in pyramid()]
        outs.append(block(levels))
        sum(level.square().sum() for level in outs[-1]).backward()
        assert all(level.grad.isfinite().all() and level.grad.abs().sum() > 0 for level in levels)
        assert block.offset.weight.grad.abs().sum() > 0
    assert (outs[0][0] - outs[1][0]).abs().max() > 1e-4 and torch.allclose(outs[0][2], outs[1][2])
    with pytest.raises(ValueError, match="offsets='big' is unknown"):
        DyConv(16, 16, "big")
    with pytest.raises(ValueError, match="24 channels"):
        DyConv(16, 24)
    assert math.isfinite(float(outs[0][0].sum()))
