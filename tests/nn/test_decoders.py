"""Decoders against transformers' DPT with the same weights, and against their formulae."""

import pytest
import torch
import torch.nn.functional as F

from clipkit.nn import ConvTower, DPTDecoder, FPNDecoder, FusionBlock, Readout, Reassemble, ResidualConvUnit
from support.closed_form import closed_form_
from support.decoder_parts import copy_into, wake_norms_


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def transformers_neck(readout):
    dpt = pytest.importorskip("transformers.models.dpt.modeling_dpt")
    config = dpt.DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 12, 16, 16],
        reassemble_factors=[4, 2, 1, 0.5],
        fusion_hidden_size=8,
        use_batch_norm_in_fusion_residual=True,
        use_bias_in_fusion_residual=False,
        readout_type=readout,
        is_hybrid=False,
    )
    return wake_norms_(closed_form_(dpt.DPTNeck(config)))


@pytest.mark.parametrize("readout", ["project", "ignore"])
def test_dpt_equals_transformers(readout):
    theirs = transformers_neck(readout)
    ours = DPTDecoder([16] * 4, features=8, channels=(8, 12, 16, 16), readout=readout).eval()
    copy_into(ours, theirs)
    tokens = [images(2, 1 + 6 * 4, 16, seed=i) for i in range(4)]
    with torch.no_grad():
        wanted = theirs(tokens, 6, 4)[-1]
        maps = [t[:, 1:].transpose(1, 2).reshape(2, 16, 6, 4) for t in tokens]
        got = ours(maps, [t[:, 0] for t in tokens])
    assert got.shape == (2, 8, 48, 32)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


def test_dpt_on_odd_grids_and_on_a_pyramid():
    ours = DPTDecoder([8] * 4, features=4, channels=(4, 4, 4, 4)).eval()
    assert ours([images(1, 8, 7, 5)] * 4, [images(1, 8)] * 4).shape == (1, 4, 56, 40)
    pyramid = DPTDecoder([4, 6, 8], features=4, factors=None).eval()
    maps = [images(1, 4, 13, 9), images(1, 6, 7, 5), images(1, 8, 4, 3)]
    assert pyramid(maps).shape == (1, 4, 26, 18)


def test_fusion_block_formula():
    block = wake_norms_(closed_form_(FusionBlock(4)))
    x, skip = images(1, 4, 3, 5), images(1, 4, 3, 5, seed=1)

    def rcu(unit, y):
        z = unit.bn1(F.conv2d(F.relu(y), unit.conv1.weight, padding=1))
        return y + unit.bn2(F.conv2d(F.relu(z), unit.conv2.weight, padding=1))

    up = F.interpolate(rcu(block.rcu2, x + rcu(block.rcu1, skip)), (6, 10), mode="bilinear", align_corners=True)
    torch.testing.assert_close(block(x, skip), block.out_conv(up), atol=1e-5, rtol=1e-5)


def test_readout_modes():
    x, cls = images(2, 3, 2, 2), images(2, 3, seed=1)
    torch.testing.assert_close(Readout(3, "ignore")(x, cls), x)
    torch.testing.assert_close(Readout(3, "add")(x, cls), x + cls[:, :, None, None])
    project = closed_form_(Readout(3, "project"), scale=0.5)
    weight, bias = project.project.weight[:, :, 0, 0], project.project.bias
    one = F.gelu(weight @ torch.cat([x[1, :, 0, 1], cls[1]]) + bias)
    torch.testing.assert_close(project(x, cls)[1, :, 0, 1], one)
    with pytest.raises(ValueError, match="class token"):
        project(x)
    with pytest.raises(ValueError, match="known: project"):
        Readout(3, "concat")


def test_decoders_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="equally long"):
        DPTDecoder([8] * 3, factors=(4, 2))
    with pytest.raises(ValueError, match="built for 2 maps and got 1"):
        DPTDecoder([4, 4], 4, factors=None)([images(1, 4, 2, 2)])
    with pytest.raises(ValueError, match="one over a whole number"):
        Reassemble(4, 4, 1.5)
    with pytest.raises(ValueError, match="give one a map"):
        FPNDecoder([4, 8], features=(4, 4, 4))
    with pytest.raises(ValueError, match="skip=False"):
        FusionBlock(4, skip=False)(images(1, 4, 2, 2), images(1, 4, 2, 2))


def test_fpn_formula():
    decoder = wake_norms_(closed_form_(FPNDecoder([4, 6], features=(3, 5)), scale=0.3))
    fine, coarse = images(1, 4, 5, 7), images(1, 6, 3, 4)
    top = decoder.smooth[1](decoder.laterals[1](coarse))
    up = F.interpolate(top, (5, 7), mode="bilinear", align_corners=False)  # reduce after: a 1x1 conv commutes with it
    wanted = decoder.smooth[0](decoder.laterals[0](fine) + decoder.reduce[0](up))
    torch.testing.assert_close(decoder([fine, coarse]), wanted, atol=1e-5, rtol=1e-5)
    assert decoder.out_channels == 3


def test_conv_tower_strides_and_gradient():
    tower = ConvTower((4, 6, 8), blocks=(1, 2, 1), stem_stride=2)
    maps = tower(images(2, 3, 32, 48))
    assert [m.shape[1] for m in maps] == tower.out_channels
    assert [48 // m.shape[-1] for m in maps] == tower.strides == [2, 4, 8]
    maps[-1].sum().backward()
    assert all(p.grad is not None for p in tower.parameters())
    with pytest.raises(ValueError, match="one entry a stage"):
        ConvTower((4, 6), blocks=(1,))


def test_residual_unit_without_norm_has_bias():
    assert ResidualConvUnit(4, batch_norm=False).conv1.bias is not None
    assert ResidualConvUnit(4).conv1.bias is None
