"""GroupViT against transformers' port with equal weights: every part, the whole, and what differs on purpose."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clipkit_plugins.groupvit import convert

from clipkit.errors import ClipkitError
from clipkit.nn._grouping import straight_through
from support.backbone_models import photos
from support.groupvit_parts import CLASSES, CONTEXT, PATCH, SIZE, port, small

TOLERANCE = {"rtol": 0, "atol": 1e-9}


@pytest.fixture(scope="module")
def theirs():
    return port()


@pytest.fixture(scope="module")
def ours(theirs):
    model = small()
    model.load_state_dict(convert(theirs.state_dict()).state, strict=True)
    return model


@pytest.fixture(scope="module")
def images():
    return photos(3, 3, SIZE, SIZE).double()


@pytest.fixture(scope="module")
def ids(ours):
    return ours.text.tokenize(["a photo of a red circle.", "grass", "blue star on water"])


@pytest.fixture(scope="module")
def seen(theirs, images, ids):
    with torch.no_grad():
        return theirs(input_ids=ids, pixel_values=images, output_segmentation=True, output_hidden_states=True)


@torch.no_grad()
def test_tokens(ours, theirs, images):
    x, grid = ours.tokens(images)
    assert grid == (SIZE // PATCH, SIZE // PATCH)
    torch.testing.assert_close(x, theirs.vision_model.embeddings(images), **TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_each_stage(ours, theirs, stage):
    tokens = {0: 0, 1: 6, 2: 4}[stage]
    count = {0: 16, 1: 6, 2: 4}[stage]
    x, previous = photos(2, count, 32).double(), photos(2, tokens, 32).double() - 0.3 if tokens else None
    got = ours.encoder.stages[stage](x, previous)
    want = theirs.vision_model.encoder.stages[stage](x, previous, output_attentions=True)
    for a, b in zip(got, want):
        assert (a is None) == (b is None) or stage == 2
        if a is not None:
            torch.testing.assert_close(a, b, **TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("stage", [0, 1])
def test_parts_of_a_grouping_block(ours, theirs, stage):
    mine, his = ours.encoder.stages[stage].downsample, theirs.vision_model.encoder.stages[stage].downsample
    x, tokens = photos(2, 9, 32).double(), photos(2, {0: 6, 1: 4}[stage], 32).double()
    torch.testing.assert_close(mine.mlp_inter(tokens), his.mlp_inter(tokens), **TOLERANCE)
    torch.testing.assert_close(mine.pre_assign_attn(tokens, x), his.pre_assign_attn(tokens, x), **TOLERANCE)
    for a, b in zip(mine.assign(tokens, x), his.assign(tokens, x)):
        torch.testing.assert_close(a, b, **TOLERANCE)
    for a, b in zip(mine(x, tokens), his(x, tokens)):
        torch.testing.assert_close(a, b, **TOLERANCE)


@torch.no_grad()
def test_text(ours, theirs, ids):
    assert ids.shape == (3, CONTEXT)
    want = theirs.get_text_features(input_ids=ids).pooler_output
    torch.testing.assert_close(ours.text.projector(ours.text.encoder(ids)), want, **TOLERANCE)


@torch.no_grad()
def test_the_whole(ours, images, ids, seen):
    groups, image, maps = ours.encode(images)
    segments, _ = ours.encoder(ours.tokens(images)[0])
    torch.testing.assert_close(segments, seen.vision_model_output.last_hidden_state, **TOLERANCE)
    # `encode` gives float32, as other segmentors' features are.
    close = {"rtol": 0, "atol": 1e-5}
    torch.testing.assert_close(F.normalize(image, dim=1).double(), seen.image_embeds, **close)
    text = F.normalize(ours.text.projector(ours.text.encoder(ids)), dim=-1)
    torch.testing.assert_close(text, seen.text_embeds, **TOLERANCE)
    logits = ours.logit_scale() * F.normalize(image, dim=1).double() @ text.T
    torch.testing.assert_close(logits, seen.logits_per_image, **close)
    first, second = seen.vision_model_output.attentions  # (B, 6, 16), (B, 4, 6)
    torch.testing.assert_close(maps.flatten(2).double(), second @ first, **close)
    assert len(maps.flatten(2).argmax(1).unique()) > 1
    # Known difference: the port's soft maps carry the scale twice.
    up = F.interpolate(maps.double(), size=(SIZE, SIZE), mode="bilinear")
    scores = ours.logit_scale() ** 2 * torch.einsum("bgd,kd->bkg", F.normalize(groups.double(), dim=-1), text)
    soft = torch.einsum("bkg,bghw->bkhw", scores, up)
    torch.testing.assert_close(soft, seen.segmentation_logits, rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_loss_is_the_ports_plus_the_multi_label_one(ours, theirs, images, ids):
    want = theirs(input_ids=ids, pixel_values=images, return_loss=True).loss
    text = ours.text.projector(ours.text.encoder(ids))
    image = ours.projector(ours.encoder(ours.tokens(images)[0])[0].mean(1))
    torch.testing.assert_close(ours.contrastive(image, text, ours.logit_scale()), want, **TOLERANCE)


def bilinear(small_map, size):
    """(h, w) -> (H, W) float64, each pixel by its four neighbours."""
    (h, w), (height, width) = small_map.shape, size
    out = np.zeros(size)
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) * h / height - 0.5, 0), h - 1)
            u = min(max((x + 0.5) * w / width - 0.5, 0), w - 1)
            a, b = int(v), int(u)
            c, d = min(a + 1, h - 1), min(b + 1, w - 1)
            p, q = v - a, u - b
            out[y, x] = (1 - p) * ((1 - q) * small_map[a, b] + q * small_map[a, d]) + p * (
                (1 - q) * small_map[c, b] + q * small_map[c, d]
            )
    return out


def loops(groups, image, maps, text, scale, size, top, threshold):
    """The original's rule for one image, pixel by pixel: labels, K is background."""

    def cosine(a, b):
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    def softmax(values):
        e = [np.exp(v - max(values)) for v in values]
        return [v / sum(e) for v in e]

    whole = [scale * cosine(image, row) for row in text]
    few = sorted(range(len(text)), key=lambda k: -whole[k])[:top]
    weight = dict(zip(few, softmax([whole[k] for k in few])))
    found = [
        [p * weight.get(k, 0.0) for k, p in enumerate(softmax([scale * cosine(group, row) for row in text]))]
        for group in groups
    ]
    limit = None if threshold is None else min(threshold, max(max(row) for row in found))
    up = [bilinear(each, size) for each in maps]
    labels = np.zeros(size, dtype=int)
    for y in range(size[0]):
        for x in range(size[1]):
            row = found[int(np.argmax([each[y, x] for each in up]))]
            labels[y, x] = int(np.argmax(row))
            if limit is not None and max(row) < limit:
                labels[y, x] = len(text)
    return labels


@torch.no_grad()
@pytest.mark.parametrize("threshold", [None, 0.02, 0.2, 0.95])
def test_the_originals_rule_equals_loops(theirs, threshold):
    """Maps, top classes and background; float64 loops of what segmentation.md says of the original."""
    classes = CLASSES if threshold is None else ["background", *CLASSES]
    model = small(classes, top_classes=5, threshold=threshold)
    model.load_state_dict(convert(theirs.state_dict()).state)
    model._own_rows()
    images = photos(2, 3, 40, 24).double()  # no square: the port refuses it
    scores = model.encode_decode(images)
    groups, image, maps = (part.double().numpy() for part in model.encode(images))
    text, scale = model.label_text.double().numpy(), float(model.scale())
    for b in range(2):
        got = model.decide(scores[b])[0][0]
        want = loops(groups[b], image[b], maps[b], text, scale, (40, 24), 5, threshold)
        assert np.array_equal(got.numpy(), want)
    assert len(model.winners.unique()) > 1
    assert model.label_names == (*CLASSES, *(["background"] if threshold is not None else []))


@torch.no_grad()
def test_other_sizes_than_the_declared_one(ours, theirs, images):
    """Known difference: the port takes one size."""
    with pytest.raises(ValueError, match="doesn't match model"):
        theirs.get_image_features(pixel_values=photos(1, 3, 48, 32).double())
    x, grid = ours.tokens(photos(1, 3, 48, 32).double())
    assert grid == (6, 4) and x.shape == (1, 24, 32)
    want = theirs.vision_model.embeddings(photos(1, 3, 48, 32).double(), interpolate_pos_encoding=True)
    torch.testing.assert_close(x, want, **TOLERANCE)


def test_the_multi_label_scale_is_not_in_the_port(theirs):
    """Known difference: it starts as the other one, and says so."""
    converted = convert(theirs.state_dict())
    assert any("multi_label_logit_scale" in note for note in converted.notes)
    assert torch.equal(converted.state["phrase_scale.log_scale"], converted.state["logit_scale.log_scale"])


def test_training_is_by_chance_and_hard_as_the_ports(ours, theirs):
    """One-hot forwards with the softmax's gradient; noise in training only. The port draws another stream."""
    logits = photos(2, 4, 50).double().requires_grad_()
    plain = straight_through(logits, noise=False)
    assert torch.equal(plain.argmax(1), logits.argmax(1)) and plain.detach().sum(1).allclose(torch.ones(2, 50).double())
    weights = photos(2, 4, 50).double() ** 2
    (gradient,) = torch.autograd.grad((plain * weights).sum(), logits)
    (expected,) = torch.autograd.grad((logits.softmax(1) * weights).sum(), logits)
    torch.testing.assert_close(gradient, expected, **TOLERANCE)
    torch.manual_seed(0)
    share = torch.stack([straight_through(logits.detach(), noise=True) for _ in range(4000)]).mean(0)
    torch.testing.assert_close(share, logits.detach().softmax(1), rtol=0, atol=0.05)  # Gumbel-max draws the softmax


def test_a_port_of_another_kind_is_refused(theirs):
    state = dict(theirs.state_dict())
    state["vision_model.extra"] = torch.zeros(1)
    with pytest.raises(ClipkitError, match=r"no place in GroupViT: vision_model\.extra"):
        convert(state)
