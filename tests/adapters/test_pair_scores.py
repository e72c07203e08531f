"""The contrastive objective over scores of pairs: against plain loops, and two processes against one."""

import math
import socket

import pytest
import torch
import torch.multiprocessing as mp

from clipkit.adapters import ContrastiveLoss, MultiPositiveLoss, hard_negatives, pair_contrastive
from clipkit.adapters.pair_scores import positives
from support.pair_score_ranks import step, work


def loops(scores, owner, caption, video, wanted=None):
    """The docstring's formula, over the wanted pairs."""
    n, m = len(owner), len(video)
    good = [
        [any(caption[k] == caption[i] and owner[k] == video[j] for k in range(n)) for j in range(m)] for i in range(n)
    ]

    def side(rows, count, other, entry):
        total = 0.0
        for i in range(count):
            found = [(score, right) for score, right, kept in (entry(i, j) for j in range(other)) if kept]
            log_sum = math.log(sum(math.exp(s) for s, _ in found))
            right = [s for s, g in found if g]
            total += sum(1 / len(right) * (math.log(1 / len(right)) - (s - log_sum)) for s in right)
        return total / count

    s = scores.tolist()
    kept = [[True] * m] * n if wanted is None else wanted.tolist()
    of_texts = side(s, n, m, lambda i, j: (s[i][j], good[i][j], kept[i][j]))
    return 0.5 * (of_texts + side(s, m, n, lambda j, i: (s[i][j], good[i][j], kept[i][j])))


def test_the_loss_is_the_formula():
    g = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 4, generator=g, dtype=torch.float64)
    owner, video = torch.tensor([7, 7, 8, 9, 5, 5]), torch.tensor([5, 7, 8, 9])
    caption = torch.tensor([1, 2, 3, 1, 4, 4])  # sentences of the videos 7 and 9 read the same
    found = pair_contrastive(lambda t, v: t @ v.T, (scores,), (torch.eye(4).double(),), owner, caption, video)
    assert found.item() == pytest.approx(loops(scores, owner.tolist(), caption.tolist(), video.tolist()), abs=1e-12)
    plain = pair_contrastive(lambda t, v: t @ v.T, (scores,), (torch.eye(4).double(),), owner, torch.arange(6), video)
    assert abs(plain - found) > 1e-3


def test_without_equal_sentences_it_is_the_clip_loss():
    g = torch.Generator().manual_seed(1)
    x, y = (torch.nn.functional.normalize(torch.randn(5, 3, generator=g, dtype=torch.float64)) for _ in range(2))
    ids = torch.arange(5)
    found = pair_contrastive(lambda t, v: 9 * t @ v.T, (x,), (y,), ids, ids, ids)
    torch.testing.assert_close(found, ContrastiveLoss()(x, y, 9.0))
    some = torch.tensor([0, 0, 1, 2, 2])  # several sentences a video
    videos = y[:3]
    found = pair_contrastive(lambda t, v: 9 * t @ v.T, (x,), (videos,), some, ids, ids[:3])
    torch.testing.assert_close(found, MultiPositiveLoss()(x, videos, 9.0, some, ids[:3]))


def masked(text, video, wanted):
    """Scores as a head gives them that computes the wanted pairs alone."""
    return (text @ video.T).masked_fill(~wanted, -torch.inf)


def test_the_loss_over_some_pairs_is_the_formula_over_them():
    g = torch.Generator().manual_seed(4)
    scores = torch.randn(6, 4, generator=g, dtype=torch.float64, requires_grad=True)
    owner, video, caption = (
        torch.tensor([7, 7, 8, 9, 5, 5]),
        torch.tensor([5, 7, 8, 9]),
        torch.tensor([1, 2, 3, 1, 4, 4]),
    )
    eye = torch.eye(4).double()
    wanted = positives(owner, caption, video) | torch.eye(6, 4).roll(1, 0).bool()
    found = pair_contrastive(masked, (scores,), (eye,), owner, caption, video, pick=lambda positive, videos: wanted)
    expected = loops(scores.detach(), owner.tolist(), caption.tolist(), video.tolist(), wanted)
    assert found.item() == pytest.approx(expected, abs=1e-12) and not wanted.all()
    found.backward()
    assert scores.grad.isfinite().all() and not scores.grad[~wanted].any()


def test_a_video_that_no_sentence_is_of_adds_nothing():
    scores = torch.randn(2, 3, requires_grad=True)
    ids = torch.arange(3)
    pick = lambda positive, videos: positive  # noqa: E731
    loss = pair_contrastive(masked, (scores,), (torch.eye(3),), ids[:2], ids[:2], ids, pick=pick)
    loss.backward()
    assert loss.item() == 0 and scores.grad.isfinite().all()  # each is alone with its own


def test_the_hardest_negative_of_a_film_is_its_reverse():
    films = torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(0))
    frames = torch.cat((films, films.flip(1)))  # video i + 5 is i played backwards
    mask = torch.ones(10, 4, dtype=torch.bool)
    ids = torch.arange(10)
    positive = positives(ids, ids, ids)
    found = hard_negatives(positive, frames, mask, hard=1, random=0)
    assert torch.equal(found, positive | positive.roll(5, 1))
    with torch.autocast("cpu", torch.bfloat16):  # in which all of these are equally near
        close = 100 + frames
        assert torch.equal(hard_negatives(positive, close, mask, hard=1, random=0), found)
    more = hard_negatives(positive, frames, mask, hard=2, random=3)
    assert more[found].all() and more.sum(1).tolist() == [6] * 10
    assert not torch.equal(more, hard_negatives(positive, frames, mask, hard=2, random=3))
    assert hard_negatives(positive, frames, mask, hard=99).all()


def test_positives_are_kept_whatever_their_number():
    frames = torch.randn(3, 2, 6)
    positive = torch.tensor([[True, True, True], [True, True, False], [False, False, False]])
    found = hard_negatives(positive, frames, torch.ones(3, 2, dtype=torch.bool), hard=1, random=0)
    assert found[0].all() and found[1].all() and found[2].sum() == 1
    for numbers in ((0, 0), (-1, 2)):
        with pytest.raises(ValueError, match="one at least in all"):
            hard_negatives(positive, frames, torch.ones(3, 2, dtype=torch.bool), *numbers)


def test_equal_sentences_make_both_videos_right():
    owner, video = torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2])
    found = positives(owner, torch.tensor([5, 5, 6]), video)
    assert found.tolist() == [[True, True, False], [True, True, False], [False, False, True]]


# ---- ranks --------------------------------------------------------------------------------------------------------


def test_two_ranks_equal_one():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = mp.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=work, args=(rank, port, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    results = queue.get(timeout=300)
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    for (first, second), found in results.items():
        expected = step(first + second, slice(0, first + second))
        for got, want in zip(found, expected):
            torch.testing.assert_close(torch.from_numpy(got), want, rtol=0, atol=1e-12)
        halves = [step(first + second, rows)[0] for rows in (slice(0, first), slice(first, first + second))]
        assert abs(sum(halves) / 2 - expected[0]) > 1e-3  # without the other rank it is another loss
