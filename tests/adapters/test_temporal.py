"""Temporal heads against plain loops, and what they are blind to."""

import copy

import numpy as np
import pytest
import torch

from clipkit.adapters import (
    MaskedMean,
    MeanPool,
    QueryScoring,
    SeqLSTM,
    SeqTransformer,
    TightTransformer,
    WeightedTokenInteraction,
    masked_mean,
    temporal_head,
)
from clipkit.shapes import tiny_clip
from support import temporal_oracles as oracle
from support.closed_form import closed_form_

D, F, N, M = 8, 5, 4, 3
POOLS = {
    "meanP": lambda **k: MeanPool(**k),
    "seqLSTM": lambda **k: SeqLSTM(D, **k),
    "seqTransf": lambda **k: SeqTransformer(D, layers=2, heads=2, max_frames=F, **k),
}


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MASKS = {
    "random": torch.tensor([[True, False, True, True, False], [False, True, False, False, True], [True] * 5]),
    "padded": torch.arange(F) < torch.tensor([[2], [5], [4]]),
    "full": None,
    "one frame": torch.arange(F) < torch.ones(M, 1),
}


def rows(mask):
    return [[True] * F] * M if mask is None else mask.tolist()


def closed(head):
    """Weights large enough that attention is not uniform and gates are not half open."""
    return closed_form_(head, scale=0.4).double().eval()


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("unit_frames", [True, False])
@pytest.mark.parametrize("kind", POOLS)
def test_pools_equal_loops(kind, unit_frames, mask):
    head = closed(POOLS[kind](unit_frames=unit_frames))
    text, frames = randn(N, D), randn(M, F, D, seed=1) * 3
    expected = np.stack(
        [oracle.pooled(kind, head, f, m, unit_frames) for f, m in zip(frames.numpy(), rows(MASKS[mask]))]
    )
    video = head(frames, MASKS[mask])
    assert np.abs(video.detach().numpy() - expected).max() <= 1e-12
    cosines = np.array([[oracle.unit(t) @ v for v in expected] for t in text.numpy()])
    assert np.abs(head.similarity(text, frames, MASKS[mask]).detach().numpy() - cosines).max() <= 1e-12


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("layers", "chunk"), [(2, 1000), (3, 1), (4, 5)])
def test_tight_equals_loops_over_pairs(layers, chunk, mask):
    head = closed(TightTransformer(D, layers=layers, heads=2, max_frames=F, chunk=chunk))
    text, frames = randn(N, D), randn(M, F, D, seed=1) * 3
    expected = [[oracle.tight(head, t, f, m) for f, m in zip(frames.numpy(), rows(MASKS[mask]))] for t in text.numpy()]
    assert np.abs(head.similarity(text, frames, MASKS[mask]).detach().numpy() - expected).max() <= 1e-11
    assert np.std(expected) > 1e-3


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("chunk", [2, 100])
def test_query_scoring_equals_loops(chunk, mask):
    text, frames = randn(N, D), randn(M, F, D, seed=1)
    expected = [
        [oracle.query_scoring(t, f, m, 0.1) for f, m in zip(frames.numpy(), rows(MASKS[mask]))] for t in text.numpy()
    ]
    got = QueryScoring(temperature=0.1, chunk=chunk).similarity(text, frames, MASKS[mask])
    assert np.abs(got.numpy() - expected).max() <= 1e-12


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("chunk", [3, 100])
def test_token_interaction_equals_loops(chunk, mask):
    head = closed(WeightedTokenInteraction(D, chunk=chunk))
    words, frames = randn(N, 6, D), randn(M, F, D, seed=1)
    word_mask = torch.arange(6) < torch.tensor([[3], [6], [1], [2]])
    expected = [
        [oracle.token_interaction(head, w, wm, f, m) for f, m in zip(frames.numpy(), rows(MASKS[mask]))]
        for w, wm in zip(words.numpy(), word_mask.tolist())
    ]
    got = head.similarity(words, frames, MASKS[mask], word_mask).detach().numpy()
    assert np.abs(got - expected).max() <= 1e-12
    one = head.similarity(words[:, 0], frames, MASKS[mask])
    torch.testing.assert_close(one, head.similarity(words[:, :1], frames, MASKS[mask]), rtol=0, atol=0)


def heads():
    return {kind: closed(make()) for kind, make in POOLS.items()} | {
        "tightTransf": closed(TightTransformer(D, layers=2, heads=2, max_frames=F)),
        "query_scoring": QueryScoring(),
        "wti": closed(WeightedTokenInteraction(D)),
    }


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_means_of_tokens_equal_loops(mask):
    """VideoCLIP's pooling: not the first token, and where nothing else is there, zeros."""
    text, frames = randn(N, 6, D), randn(M, F, D, seed=1)
    text_mask = torch.arange(6) < torch.tensor([[6], [1], [3], [5]])
    expected = torch.zeros(N, M, dtype=torch.float64)
    for i in range(N):
        words = [text[i, k] for k in range(1, 6) if text_mask[i, k]]
        for j in range(M):
            seen = [frames[j, k] for k in range(F) if rows(mask)[j][k]]
            for d in range(D):
                mean = sum(float(word[d]) for word in words) / max(len(words), 1)
                expected[i, j] += mean * sum(float(frame[d]) for frame in seen) / len(seen)
    found = MaskedMean().similarity(text, frames, mask, text_mask)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert not found[1].any()
    assert torch.equal(masked_mean(frames, mask), MaskedMean()(frames, mask))


@pytest.mark.parametrize("kind", heads())
def test_what_is_padded_is_not_seen(kind):
    head, text, frames, mask = heads()[kind], randn(N, D), randn(M, F, D, seed=1), MASKS["padded"]
    other = torch.where(mask[..., None], frames, 100 * randn(M, F, D, seed=2))
    before, after = head.similarity(text, frames, mask), head.similarity(text, other, mask)
    torch.testing.assert_close(before, after, rtol=0, atol=1e-12)
    short = head.similarity(text, frames[:1, :2])
    torch.testing.assert_close(before[:, :1], short, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", heads())
def test_who_sees_the_order_of_frames(kind):
    head, text, frames = heads()[kind], randn(N, D), randn(M, F, D, seed=1)
    change = (head.similarity(text, frames) - head.similarity(text, frames.flip(1))).abs().max()
    assert change <= 1e-12 if kind in ("meanP", "query_scoring", "wti") else change > 1e-3


@pytest.mark.parametrize("kind", heads())
def test_a_video_without_frames_is_no_nan(kind):
    head, frames = heads()[kind], randn(M, F, D, seed=1).requires_grad_()
    mask = MASKS["padded"].clone()
    mask[1] = False
    out = head.similarity(randn(N, D), frames, mask)
    out.sum().backward()
    assert out.isfinite().all() and frames.grad.isfinite().all()
    assert kind == "tightTransf" or (kind == "wti") or not out[:, 1].any()


def test_gradients_of_the_factorised_pairs():
    head = closed(TightTransformer(4, layers=2, heads=2, max_frames=2, chunk=3))
    text, frames = randn(2, 4).requires_grad_(), randn(2, 2, 4, seed=1).requires_grad_()
    mask = torch.tensor([[True, False], [True, True]])
    weight = head.blocks[0].attn.in_proj_weight
    assert torch.autograd.gradcheck(lambda t, f, w: head.similarity(t, f, mask), (text, frames, weight))


@pytest.mark.parametrize("chunk", [2, 100])
def test_wanted_pairs_alone_are_those_of_all_pairs(chunk):
    head = closed(TightTransformer(D, layers=3, heads=2, max_frames=F, chunk=chunk))
    text, frames = randn(N, D).requires_grad_(), (randn(M, F, D, seed=1) * 3).requires_grad_()
    wanted = torch.rand(N, M, generator=torch.Generator().manual_seed(3)) < 0.5
    wanted[0] = False
    every = head.similarity(text, frames, MASKS["random"])
    some = head.similarity(text, frames, MASKS["random"], wanted)
    torch.testing.assert_close(some[wanted], every[wanted], rtol=0, atol=1e-12)
    assert torch.isneginf(some[~wanted]).all() and 3 < wanted.sum() < 9
    inputs = (text, frames, *head.parameters())
    for a, b in zip(
        torch.autograd.grad(some[wanted].sin().sum(), inputs), torch.autograd.grad(every[wanted].sin().sum(), inputs)
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    assert torch.isneginf(head.similarity(text, frames, None, torch.zeros(N, M).bool())).all()


def test_dropout_is_for_training_only():
    head = TightTransformer(D, layers=2, heads=2, max_frames=F, dropout=0.5)
    text, frames = randn(N, D).float(), randn(M, F, D, seed=1).float()
    assert not torch.equal(head.similarity(text, frames), head.similarity(text, frames))
    head.eval()
    assert torch.equal(head.similarity(text, frames), head.similarity(text, frames))


def test_empty_sides():
    for head in heads().values():
        assert head.similarity(randn(0, D), randn(M, F, D)).shape == (0, M)
        assert head.similarity(randn(N, D), randn(0, F, D)).shape == (N, 0)


class WideText:
    """What `temporal_head` reads of a CLIP, with a text tower as wide as the embedding."""

    name, embed_dim, has_text_blocks = "wide", 32, True

    def __init__(self, quick_gelu):
        from open_clip.transformer import QuickGELU, Transformer

        self.text_blocks = Transformer(32, 3, 4, act_layer=QuickGELU if quick_gelu else torch.nn.GELU).resblocks
        self.text_positions = torch.randn(10, 32)


@pytest.mark.parametrize("quick_gelu", [True, False])
@pytest.mark.parametrize(("kind", "frames"), [("seqTransf", 10), ("tightTransf", 9)])
def test_transformers_start_as_the_text_blocks(kind, frames, quick_gelu):
    clip = WideText(quick_gelu)
    head = temporal_head(kind, clip, layers=2)
    assert torch.equal(head.positions, clip.text_positions)
    x = torch.randn(2, frames, 32)
    expected = x
    for mine, theirs in zip(head.blocks, copy.deepcopy(clip.text_blocks)):
        assert mine.attn.heads == 4 and mine.ln_1.eps == 1e-12
        for norm in (theirs.ln_1, theirs.ln_2):
            norm.eps = 1e-12
        expected = theirs(expected)
        x = mine(x)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="4 layers cannot start as the 3 text blocks"):
        temporal_head(kind, clip, layers=4)
    with pytest.raises(ValueError, match=r"has 10 text positions, not 1[23]"):
        temporal_head(kind, clip, layers=2, max_frames=12)


def test_the_tiny_clips_narrow_text_tower_means_a_fresh_start():
    clip = tiny_clip()
    head = temporal_head("seqTransf", clip, layers=2)
    assert head.positions.shape == (77, clip.embed_dim)
    with pytest.raises(ValueError, match="80 wide and its embedding 128: leave from_text out"):
        temporal_head("seqTransf", clip, from_text=True)
    for kind in ("meanP", "seqLSTM", "query_scoring", "wti", "tightTransf"):
        text, frames = torch.randn(2, 128), torch.randn(3, 4, 128)
        assert temporal_head(kind, clip).similarity(text, frames).shape == (2, 3)


def test_refusals():
    with pytest.raises(ValueError, match='did you mean "seqTransf"'):
        temporal_head("seqTrans", tiny_clip())
    with pytest.raises(ValueError, match=r"a mask of shape \(3, 4\) does not fit frames \(3, 5, 8\)"):
        MeanPool()(randn(3, 5, 8), torch.ones(3, 4))
    with pytest.raises(ValueError, match="5 positions are wanted, and this module has 4: raise max_frames"):
        SeqTransformer(D, max_frames=4)(randn(3, 5, 8).float())
    with pytest.raises(ValueError, match="cannot be shared among 3 heads"):
        SeqTransformer(D, heads=3)
