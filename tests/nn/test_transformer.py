"""Attention and blocks against torch's own and against loops."""

import pytest
import torch
from torch import nn

from clipkit.nn import AssignAttention, CrossAttention, CrossBlock, GroupingBlock, SelfAttention, TransformerBlock
from clipkit.nn._transformer import attention
from support.closed_form import closed_form_


def numbers(*shape):
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(index * 0.7 + (index / 53).floor()).reshape(shape)


def mask_of(kind):
    if kind == "keys":
        return torch.tensor([[True] * 5, [True, True, False, True, False]])
    if kind == "pairs":
        return (torch.ones(5, 5).tril() > 0).expand(2, 5, 5)
    return None


@pytest.mark.parametrize("kind", [None, "keys", "pairs"])
def test_a_block_is_torchs_own(kind):
    block = closed_form_(TransformerBlock(12, 3).double(), scale=0.4)
    torchs = nn.TransformerEncoderLayer(
        12, 3, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    names = {
        "self_attn.in_proj_weight": "attn.qkv.weight",
        "self_attn.in_proj_bias": "attn.qkv.bias",
        "self_attn.out_proj": "attn.proj",
        "linear1": "mlp.fc1",
        "linear2": "mlp.fc2",
    }
    state = block.state_dict()
    for theirs, ours in names.items():
        for part in ("",) if "in_proj" in theirs else (".weight", ".bias"):
            state[theirs + part] = state.pop(ours + part)
    torchs.load_state_dict(state, strict=True)
    x, mask = numbers(2, 5, 12), mask_of(kind)
    options = {}
    if kind == "keys":
        options["src_key_padding_mask"] = ~mask
    if kind == "pairs":
        options["src_mask"] = ~mask[0]
    wanted = torchs(x, **options)
    torch.testing.assert_close(block(x, mask), wanted, rtol=0, atol=1e-12)
    with torch.no_grad():  # torch's fused form
        torch.testing.assert_close(block(x, mask), wanted, rtol=0, atol=1e-12)


def test_plain_and_fused_attention_have_the_same_gradients():
    parts = [numbers(2, 3, n, 4).requires_grad_() for n in (5, 7, 7)]
    plain = torch.autograd.grad((attention(*parts) ** 2).sum(), parts)
    fused = torch.autograd.grad((nn.functional.scaled_dot_product_attention(*parts) ** 2).sum(), parts)
    for a, b in zip(plain, fused):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_cross_attention_of_tokens_to_themselves_is_self_attention():
    cross = closed_form_(CrossAttention(12, 3).double(), scale=0.4)
    own = SelfAttention(12, 3).double()
    with torch.no_grad():
        own.qkv.weight.copy_(torch.cat([cross.q_proj.weight, cross.k_proj.weight, cross.v_proj.weight]))
        own.qkv.bias.copy_(torch.cat([cross.q_proj.bias, cross.k_proj.bias, cross.v_proj.bias]))
        own.proj.load_state_dict(cross.proj.state_dict())
    x, mask = numbers(2, 5, 12), mask_of("keys")
    torch.testing.assert_close(cross(x, x, mask), own(x, mask), rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("cosine", [False, True])
def test_assignment_equals_loops(cosine):
    assign = closed_form_(AssignAttention(6, cosine).double(), scale=0.8).eval()
    groups, tokens = numbers(1, 3, 6), numbers(1, 8, 6) * 2
    out, soft = assign(groups, tokens)
    q, k, v = assign.q_proj(groups)[0], assign.k_proj(tokens)[0], assign.v_proj(tokens)[0]
    taken = [[] for _ in range(3)]
    for n in range(8):
        row = []
        for g in range(3):
            dot = float(q[g] @ k[n])
            row.append(
                float(assign.log_scale.exp()) * dot / float(q[g].norm() * k[n].norm()) if cosine else dot / 6**0.5
            )
        e = torch.tensor(row, dtype=torch.float64).exp()
        torch.testing.assert_close(soft[0, :, n], e / e.sum(), rtol=0, atol=1e-12)
        taken[row.index(max(row))].append(v[n])
    assert sum(map(bool, taken)) > 1
    for g in range(3):
        mean = sum(taken[g], torch.zeros(6).double()) / (len(taken[g]) + 1)
        torch.testing.assert_close(out[0, g], assign.proj(mean), rtol=0, atol=1e-12)


def test_the_scale_of_cosines_is_bounded():
    assign = AssignAttention(4, cosine=True)
    assert assign.log_scale.exp().item() == pytest.approx(10.0)
    with torch.no_grad():
        assign.log_scale.fill_(9.0)
    _, soft = assign.eval()(torch.eye(4)[None], torch.eye(4)[None])
    assert soft.min() >= torch.tensor([50.0, -50.0]).softmax(0)[1]


def test_groups_learn_through_a_hard_assignment():
    torch.manual_seed(0)
    block = GroupingBlock(8, 2, tokens=5, groups=3)
    tokens = torch.randn(2, 5, 8, requires_grad=True)
    out, soft = block.train()(torch.randn(2, 12, 8), tokens)
    assert out.shape == (2, 3, 8) and soft.shape == (2, 3, 12)
    out.square().sum().backward()
    assert tokens.grad.abs().sum() > 0 and block.assign.q_proj.weight.grad.abs().sum() > 0


def test_half_precision_stays_finite():
    block = GroupingBlock(8, 2, tokens=5, groups=3).train()
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = block(torch.randn(64, 256, 8), torch.randn(64, 5, 8))
    assert out.isfinite().all()


def test_a_cross_block_is_torchs_decoder_layer():
    """Three texts of each of two pictures, against torch's layer on pictures that are repeated for each text."""
    block = closed_form_(CrossBlock(12, 3).double(), scale=0.4)
    torchs = nn.TransformerDecoderLayer(
        12, 3, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    state = block.state_dict()
    for theirs, ours in {"self_attn.in_proj_": "attn.qkv.", "self_attn.out_proj.": "attn.proj."}.items():
        for part in ("weight", "bias"):
            state[theirs + part] = state.pop(ours + part)
    for theirs, ours in {
        "multihead_attn.out_proj.": "cross.proj.",
        "linear1.": "mlp.fc1.",
        "linear2.": "mlp.fc2.",
    }.items():
        for part in ("weight", "bias"):
            state[theirs + part] = state.pop(ours + part)
    for part in ("weight", "bias"):
        state[f"multihead_attn.in_proj_{part}"] = torch.cat([state.pop(f"cross.{n}_proj.{part}") for n in "qkv"])
    torchs.load_state_dict(state, strict=True)
    x, other = numbers(6, 5, 12), numbers(2, 7, 12).cos()
    mask, other_mask = mask_of("keys").repeat(3, 1), torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    wanted = torchs(
        x,
        other.repeat_interleave(3, 0),
        tgt_key_padding_mask=~mask,
        memory_key_padding_mask=~other_mask.repeat_interleave(3, 0),
    )
    torch.testing.assert_close(block(x, other, mask, other_mask), wanted, rtol=0, atol=1e-12)


def test_a_bias_is_added_to_the_logits_and_the_weights_are_those_used():
    layer = closed_form_(CrossAttention(6, 2).double(), scale=0.5).requires_grad_(False)
    x, other, bias = numbers(2, 3, 6), numbers(2, 4, 6).cos(), numbers(2, 2, 3, 4)
    mask = torch.tensor([[True, True, True, False], [True] * 4])
    weights = torch.zeros(2, 2, 3, 4, dtype=torch.float64)
    wanted = torch.zeros(2, 3, 6, dtype=torch.float64)
    for b in range(2):
        for h in range(2):
            part = slice(3 * h, 3 * h + 3)
            for n in range(3):
                query = layer.q_proj(x[b, n])[part]
                keys = range(4) if b else range(3)
                logits = [
                    float(query @ layer.k_proj(other[b, m])[part]) / 3**0.5 + float(bias[b, h, n, m]) for m in keys
                ]
                own = torch.tensor(logits, dtype=torch.float64).exp()
                weights[b, h, n, : len(own)] = own / own.sum()
                wanted[b, n, part] = sum(weights[b, h, n, m] * layer.v_proj(other[b, m])[part] for m in keys)
    torch.testing.assert_close(layer.weights(x, other, mask, bias), weights, rtol=0, atol=1e-12)
    torch.testing.assert_close(layer(x, other, mask, bias), layer.proj(wanted), rtol=0, atol=1e-12)
    with torch.no_grad():  # torch's fused form
        torch.testing.assert_close(layer(x, other, mask, bias), layer.proj(wanted), rtol=0, atol=1e-12)
