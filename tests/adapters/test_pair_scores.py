"""The contrastive objective over scores of pairs: against plain loops, and two processes against one."""

import math
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from clipkit.adapters import ContrastiveLoss, MultiPositiveLoss, pair_contrastive
from clipkit.adapters.pair_scores import positives


def loops(scores, owner, caption, video):
    """The docstring's formula."""
    n, m = len(owner), len(video)
    good = [
        [any(caption[k] == caption[i] and owner[k] == video[j] for k in range(n)) for j in range(m)] for i in range(n)
    ]

    def side(rows, count, other, entry):
        total = 0.0
        for i in range(count):
            found = [entry(i, j) for j in range(other)]
            log_sum = math.log(sum(math.exp(s) for s, _ in found))
            right = [s for s, g in found if g]
            total += sum(1 / len(right) * (math.log(1 / len(right)) - (s - log_sum)) for s in right)
        return total / count

    s = scores.tolist()
    return 0.5 * (side(s, n, m, lambda i, j: (s[i][j], good[i][j])) + side(s, m, n, lambda j, i: (s[i][j], good[i][j])))


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


def test_equal_sentences_make_both_videos_right():
    owner, video = torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2])
    found = positives(owner, torch.tensor([5, 5, 6]), video)
    assert found.tolist() == [[True, True, False], [True, True, False], [False, False, True]]


# ---- ranks --------------------------------------------------------------------------------------------------------

SPLITS = [(3, 3), (4, 1)]


class Scorer(torch.nn.Module):
    """Scores sentences `(N, L, 4)` and videos `(M, F, 4)` of any length by all their rows, with masks."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.text, self.video = torch.nn.Linear(4, 3).double(), torch.nn.Linear(4, 3).double()

    def forward(self, text, text_mask, video, video_mask):
        a = (self.text(text).tanh() * text_mask[..., None]).sum(1)
        b = (self.video(video).tanh() * video_mask[..., None]).sum(1)
        return a @ b.T


def material(total, rows):
    """Videos `rows` of `total`, two sentences each, cut to the longest of these."""
    g = torch.Generator().manual_seed(2)
    lengths = torch.arange(total) % 3 + 1
    video = torch.randn(total, 3, 4, generator=g, dtype=torch.float64)
    words = torch.randn(2 * total, 5, 4, generator=g, dtype=torch.float64)
    word_lengths = torch.arange(2 * total) % 5 + 1
    caption = torch.arange(2 * total) % 7
    ids = torch.arange(total) + 10
    twice = torch.arange(2 * total)[2 * rows.start : 2 * rows.stop]
    frames, length = int(lengths[rows].max()), int(word_lengths[twice].max())
    return (
        (words[twice, :length], torch.arange(length) < word_lengths[twice, None]),
        (video[rows, :frames], torch.arange(frames) < lengths[rows, None]),
        ids[rows].repeat_interleave(2),
        caption[twice],
        ids[rows],
    )


def step(total, rows):
    model = Scorer()
    loss = pair_contrastive(model, *material(total, rows))
    loss.backward()
    return [loss.detach(), *[p.grad for p in model.parameters()]]


def work(rank, port, queue):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    results = {}
    for first, second in SPLITS:
        tensors = step(first + second, slice(0, first) if rank == 0 else slice(first, first + second))
        for tensor in tensors:
            dist.all_reduce(tensor)
        results[first, second] = [(tensor / 2).numpy() for tensor in tensors]
    if rank == 0:
        queue.put(results)
    dist.barrier()
    dist.destroy_process_group()


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
