"""Ranks against the definition as plain loops; ties; several texts a video; streaming; the engine against its heads."""

import itertools
import statistics

import pytest
import torch

from clipkit.adapters import MeanPool, QueryScoring, SeqLSTM, TightTransformer, WeightedTokenInteraction
from clipkit.evaluation import Ranks, retrieval_ranks, retrieve

KS = (1, 5, 10)


def random_problem(seed, texts=60, videos=17, coarse=False):
    """Scores (N, M) and owners; some videos have no text; `coarse` scores have many ties."""
    g = torch.Generator().manual_seed(seed)
    scores = torch.randn(texts, videos, generator=g)
    owner = torch.randint(0, videos - 3, (texts,), generator=g)
    return ((scores * 2).round() / 2 if coarse else scores), owner


def loops(scores, owner):
    """(number of better wrong answers, number of equal ones) of each query of both directions, by the definition."""
    scores, owner = scores.double().tolist(), owner.tolist()
    videos = len(scores[0])
    t2v = []
    for row, own in zip(scores, owner):
        others = [row[j] for j in range(videos) if j != own]
        t2v.append((sum(s > row[own] for s in others), sum(s == row[own] for s in others)))
    v2t = []
    for j in sorted(set(owner)):
        best = {v: max(scores[i][j] for i in range(len(owner)) if owner[i] == v) for v in set(owner)}
        others = [s for v, s in best.items() if v != j]
        v2t.append((sum(s > best[j] for s in others), sum(s == best[j] for s in others)))
    return t2v, v2t


def metrics_by_listing(queries, ties):
    """Each query's possible ranks written out: one for the strict rules, all equally likely ones for 'expected'."""
    possible = []
    for above, tied in queries:
        ranks = list(range(above + 1, above + tied + 2))
        possible.append({"optimistic": ranks[:1], "pessimistic": ranks[-1:], "expected": ranks}[ties])
    means = [statistics.fmean(ranks) for ranks in possible]
    found = {
        f"R@{k}": 100 * statistics.fmean([sum(r <= k for r in ranks) / len(ranks) for ranks in possible]) for k in KS
    }
    return {**found, "MdR": statistics.median(means), "MnR": statistics.fmean(means)}


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("block", [1, 7, 1024])
def test_ranks_are_those_of_the_definition(coarse, block):
    for seed in range(4):
        scores, owner = random_problem(seed, coarse=coarse)
        found = retrieval_ranks(scores, owner, block=block)
        t2v, v2t = loops(scores, owner)
        assert list(zip(found.text_to_video.above.tolist(), found.text_to_video.tied.tolist())) == t2v
        assert list(zip(found.video_to_text.above.tolist(), found.video_to_text.tied.tolist())) == v2t
        assert any(tied for _, tied in t2v) == coarse
        for ties in ("optimistic", "pessimistic", "expected"):
            expected = {f"t2v_{k}": v for k, v in metrics_by_listing(t2v, ties).items()}
            expected |= {f"v2t_{k}": v for k, v in metrics_by_listing(v2t, ties).items()}
            assert found.metrics(ties) == pytest.approx(expected)


def test_scores_by_a_function_are_streamed_and_give_the_same(monkeypatch):
    scores, owner = random_problem(3, texts=500, videos=40, coarse=True)
    seen = []

    def rows(index):
        seen.append(len(index))
        return scores[index]

    expected = retrieval_ranks(scores, owner)
    once = retrieval_ranks(rows, owner, 40, block=64)
    assert sum(seen) == 500 and max(seen) <= 64
    monkeypatch.setattr("clipkit.evaluation.retrieval._KEPT", 100)  # now nothing of the first pass can be kept
    seen.clear()
    twice = retrieval_ranks(rows, owner, 40, block=64)
    assert sum(seen) == 1000
    for found in (once, twice):
        for mine, right in zip(itertools.chain(*found), itertools.chain(*expected)):
            assert torch.equal(mine, right)


def test_a_video_with_more_texts_than_a_block_is_kept_whole():
    scores, owner = random_problem(5, texts=90, videos=6)
    owner = owner.where(torch.arange(90) < 20, torch.tensor(2))
    assert retrieval_ranks(scores, owner, block=8).metrics() == retrieval_ranks(scores, owner).metrics()


def test_almost_equal_scores_are_tied_within_the_tolerance():
    scores = torch.tensor([[0.5, 0.5 + 1e-7, 0.2], [0.5 - 1e-7, 0.5, 0.4], [0.1, 0.2, 0.3]])
    exact = retrieval_ranks(scores).text_to_video
    tolerant = retrieval_ranks(scores, tolerance=1e-6).text_to_video
    assert exact.above.tolist() == [1, 0, 0] and tolerant.above.tolist() == [0, 0, 0]
    assert tolerant.tied.tolist() == [1, 1, 0]
    assert tolerant.metrics("expected")["R@1"] == pytest.approx(100 * (0.5 + 0.5 + 1) / 3)


def test_scores_that_are_no_numbers_find_nothing():
    """A diverged model must not score 100 %."""
    found = retrieval_ranks(torch.full((12, 12), torch.nan)).metrics("optimistic")
    assert found["t2v_R@1"] == found["v2t_R@10"] == 0 and found["t2v_MdR"] == found["v2t_MnR"] == 12


def test_what_does_not_fit_is_refused():
    scores = torch.zeros(3, 3)
    with pytest.raises(ValueError, match="2 owners do not fit 3 rows"):
        retrieval_ranks(scores, torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="owner holds 0 to 3"):
        retrieval_ranks(scores, torch.tensor([0, 1, 3]))
    with pytest.raises(ValueError, match="need videos="):
        retrieval_ranks(lambda index: scores[index])
    with pytest.raises(ValueError, match=r"have shape \(3, 2\)"):
        retrieval_ranks(lambda index: scores[index, :2], None, 3)
    with pytest.raises(ValueError, match="no queries"):
        Ranks(torch.zeros(0), torch.zeros(0)).metrics()
    with pytest.raises(ValueError, match="optimistic, pessimistic, expected"):
        Ranks(torch.zeros(1), torch.zeros(1)).metrics("lucky")


# ---- the engine ---------------------------------------------------------------------------------------------------

DIM, FRAMES, VIDEOS, TEXTS = 16, 5, 9, 21


def material(seed=0):
    g = torch.Generator().manual_seed(seed)
    mask = torch.arange(FRAMES) < torch.randint(1, FRAMES + 1, (VIDEOS, 1), generator=g)
    owner = torch.cat([torch.arange(VIDEOS), torch.randint(0, VIDEOS, (TEXTS - VIDEOS,), generator=g)])
    return torch.randn(TEXTS, DIM, generator=g), torch.randn(VIDEOS, FRAMES, DIM, generator=g), mask, owner


def heads():
    torch.manual_seed(0)
    return [MeanPool(), SeqLSTM(DIM), QueryScoring(), TightTransformer(DIM, layers=2, heads=2)]


@pytest.mark.parametrize("head", heads(), ids=lambda head: type(head).__name__)
def test_the_engine_ranks_as_pair_by_pair_does(head):
    text, frames, mask, owner = material()
    head.train()
    found = retrieve(head, text, frames, mask, owner, block=8)
    assert head.training
    head.eval()
    with torch.no_grad():
        one = [
            [head.similarity(t[None], frames[j : j + 1], mask[j : j + 1])[0, 0] for j in range(VIDEOS)] for t in text
        ]
    expected = retrieval_ranks(torch.tensor(one), owner, tolerance=1e-6)
    assert found.metrics() == expected.metrics()


def test_a_head_that_pools_sees_each_video_once(monkeypatch):
    text, frames, mask, owner = material()
    head, seen = MeanPool(), []
    forward = head.forward
    monkeypatch.setattr(head, "forward", lambda f, m: seen.append(len(f)) or forward(f, m))
    retrieve(head, text, frames, mask, owner, block=4)
    assert sum(seen) == VIDEOS


def test_token_wise_heads_get_their_text_mask():
    g = torch.Generator().manual_seed(1)
    tokens = torch.randn(VIDEOS, 6, DIM, generator=g)
    lengths = torch.randint(1, 7, (VIDEOS, 1), generator=g)
    text_mask = torch.arange(6) < lengths
    _, frames, mask, _ = material()
    torch.manual_seed(0)
    head = WeightedTokenInteraction(DIM).eval()
    found = retrieve(head, tokens, frames, mask, text_mask=text_mask, block=4)
    with torch.no_grad():
        words = [tokens[i : i + 1, : lengths[i]] for i in range(VIDEOS)]
        videos = [(frames[j : j + 1], mask[j : j + 1]) for j in range(VIDEOS)]
        one = [[head.similarity(w, *video)[0, 0] for video in videos] for w in words]
    assert found.metrics() == retrieval_ranks(torch.tensor(one), tolerance=1e-6).metrics()


def test_reranking_scores_the_best_pairs_of_the_mean_and_keeps_its_order_below():
    text, frames, mask, owner = material()
    torch.manual_seed(0)
    head = TightTransformer(DIM, layers=2, heads=2).eval()
    whole = retrieve(head, text, frames, mask, owner)
    assert retrieve(head, text, frames, mask, owner, rerank=VIDEOS).metrics() == whole.metrics()
    some = retrieve(head, text, frames, mask, owner, rerank=2)
    with torch.no_grad():
        coarse = MeanPool().similarity(text, frames, mask)
        fine = head.similarity(text, frames, mask)
    chosen = torch.zeros_like(coarse, dtype=torch.bool)
    for i in range(TEXTS):
        chosen[i, coarse[i].argsort(descending=True)[:2]] = True
    for j in range(VIDEOS):
        chosen[coarse[:, j].argsort(descending=True)[:2], j] = True
    assert 0 < chosen.sum() < chosen.numel()
    expected = torch.where(chosen, fine + 1000, coarse)
    assert some.metrics() == retrieval_ranks(expected, owner).metrics()
