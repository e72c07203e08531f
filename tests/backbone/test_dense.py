"""Dense variants against plain loops in float64."""

import math

import pytest
import torch

from clipkit.backbone import VARIANTS, FrozenCLIP
from support.backbone_models import DENSE, TRANSFORMERS, D, photos, small_model

SIZE = (32, 24)  # 4x3 patches


def softmax(row):
    top = max(row)
    powers = [math.exp(value - top) for value in row]
    return [p / sum(powers) for p in powers]


def rows(block, kind, normed):
    """Queries, keys, values (N, heads, d) of one image, from the weights alone."""
    attn = block.attn
    if kind == "open_clip":
        weight, bias = attn.in_proj_weight, attn.in_proj_bias
    else:
        weight, bias = attn.qkv.weight, attn.qkv.bias
    weight, bias = weight.detach(), torch.zeros(weight.shape[0]).double() if bias is None else bias.detach()
    heads, width = attn.num_heads, normed.shape[-1]
    out = []
    for part in range(3):
        w, b = weight[part * width : (part + 1) * width], bias[part * width : (part + 1) * width]
        value = torch.stack([w @ token + b for token in normed]).reshape(len(normed), heads, -1)
        if kind == "timm" and part < 2:
            value = (attn.q_norm, attn.k_norm)[part](value)
        out.append(value)
    return out


def attend(a, b, v, gauss=None):
    """softmax(a bᵀ d^-0.5 + gauss) v, element by element."""
    tokens, heads, d = a.shape
    out = torch.zeros_like(v)
    for head in range(heads):
        for i in range(tokens):
            row = [float(a[i, head] @ b[j, head]) * d**-0.5 for j in range(tokens)]
            if gauss is not None:
                row = [value + gauss(i, j) for j, value in enumerate(row)]
            for j, weight in enumerate(softmax(row)):
                out[i, head] += weight * v[j, head]
    return out


def oracle(clip, kind, images, variant, grid):
    """The dense map of one image by the formulae of the papers; `x` before the last block comes from the library."""
    visual = clip.model.visual
    if kind == "open_clip":
        blocks, names = visual.transformer.resblocks, ("ln_1", "ln_2", "ls_1", "ls_2")
        out_proj = blocks[-1].attn.out_proj
        final = [visual.ln_post, lambda t: t @ visual.proj]
    else:
        blocks, names = visual.trunk.blocks, ("norm1", "norm2", "ls1", "ls2")
        out_proj = blocks[-1].attn.proj
        final = [visual.trunk.norm, visual.trunk.head]
    block = blocks[-1]
    norm1, norm2, scale1, scale2 = (getattr(block, name) for name in names)
    x = clip._tower.embed(clip._normalised(images))[0]
    for earlier in blocks[:-1]:
        x = earlier(x)
    (x,) = x
    q, k, v = rows(block, kind, norm1(x))

    def patch(i):
        return (i - 1) // grid[1], (i - 1) % grid[1]

    def gauss(i, j):
        if i == 0 or j == 0:
            return 0.0
        (a, b), (c, d) = patch(i), patch(j)
        return math.exp(-((a - c) ** 2 + (b - d) ** 2) / (2 * 5.0**2))

    context = {
        "maskclip": lambda: v,
        "sclip": lambda: attend(q, q, v) + attend(k, k, v),
        "clearclip": lambda: attend(q, q, v),
        "naclip": lambda: attend(k, k, v, gauss),
        "vanilla": lambda: attend(q, k, v),
    }[variant]()
    y = scale1(out_proj(context.flatten(1)))
    if variant not in ("clearclip", "naclip"):
        y = x + y
        y = y + scale2(block.mlp(norm2(y)))
    return final[1](final[0](y))[1:].T.reshape(D, *grid)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", ["vit", "vit-quickgelu", "timm-vit"])
def test_variant_is_its_formula(family, variant):
    clip = FrozenCLIP(small_model(family), dense=variant).double()
    images = photos(1, 3, *SIZE).double()
    with torch.no_grad():
        expected = oracle(clip, "timm" if family == "timm-vit" else "open_clip", images, variant, (4, 3))
    dense = clip.features(images).dense[0]
    assert dense.shape == (D, 4, 3)
    assert (dense - expected).abs().max() <= 1e-12


def test_variants_are_not_one_another():
    images = photos(1, 3, *SIZE)
    maps = [FrozenCLIP(small_model("timm-vit"), dense=variant).features(images).dense for variant in VARIANTS]
    for i, first in enumerate(maps):
        for second in maps[i + 1 :]:
            assert (first - second).abs().max() > 1e-5


@pytest.mark.parametrize("family", TRANSFORMERS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_transformer_serves_every_variant(family, variant):
    clip = FrozenCLIP(small_model(family), dense=variant)
    dense = clip.features(photos(1, 3, *SIZE)).dense
    assert dense.shape == (1, D, 4, 3) and dense.isfinite().all()


def test_eva_vanilla_pools_to_its_own_class_token_path():
    """The rotary block taken apart gives the class token that the whole block gives."""
    for family in ("eva", "eva-post-norm"):
        clip = FrozenCLIP(small_model(family)).double()
        images = photos(2, 3, *SIZE).double()
        alone = clip.features(images).embedding
        whole = clip.features(images, layers=(-1,)).embedding
        assert (alone - whole).abs().max() <= 1e-12


def test_resnet_dense_is_the_value_path_as_two_convolutions():
    clip = FrozenCLIP(small_model("resnet")).double()
    images = photos(2, 3, 64, 96).double()
    seen = clip.features(images, layers=(-1,))
    pool = clip.model.visual.attnpool
    values = torch.nn.functional.conv2d(seen.maps[0], pool.v_proj.weight[:, :, None, None], pool.v_proj.bias)
    expected = torch.nn.functional.conv2d(values, pool.c_proj.weight[:, :, None, None], pool.c_proj.bias)
    assert expected.shape == (2, D, 2, 3)
    assert (seen.dense - expected).abs().max() <= 1e-12


def test_convnext_dense_is_norm_and_head_at_each_pixel():
    clip = FrozenCLIP(small_model("convnext")).double()
    visual = clip.model.visual
    images = photos(2, 3, 64, 96).double()
    trunk_map = visual.trunk.forward_features(clip._normalised(images))
    expected = torch.zeros(2, D, 2, 3).double()
    norm = visual.trunk.head.norm
    for b in range(2):
        for i in range(2):
            for j in range(3):
                pixel = torch.nn.functional.layer_norm(trunk_map[b, :, i, j], (32,), norm.weight, norm.bias, norm.eps)
                expected[b, :, i, j] = visual.head.proj.weight @ pixel
    assert (clip.features(images).dense - expected).abs().max() <= 1e-12


def test_mobileclip_dense_averages_to_its_embedding():
    clip = FrozenCLIP(small_model("mobileclip")).double()
    seen = clip.features(photos(2, 3, 64, 96).double())
    assert (seen.dense.mean((2, 3)) - seen.embedding).abs().max() <= 1e-12


def test_map_pooling_is_refused_in_a_sentence_and_still_encodes():
    clip = FrozenCLIP(small_model("siglip"))
    images = photos(1, 3, 32, 32)
    with pytest.raises(ValueError, match=r"MAP head .* no class token"):
        clip.features(images)
    rest = clip.features(images, layers=(0,), dense=False)
    assert torch.equal(rest.embedding, clip.encode_image(images, normalize=False))
    with pytest.raises(ValueError, match="dense=False"):
        _ = rest.dense


def test_unknown_and_unfit_variants_are_refused_early():
    with pytest.raises(ValueError, match="known: maskclip, sclip"):
        FrozenCLIP(small_model("vit"), dense="mask")
    with pytest.raises(ValueError, match="can give only: maskclip"):
        FrozenCLIP(small_model("resnet"), dense="sclip")


def test_all_families_but_siglip_are_dense():
    assert len(DENSE) == 10
