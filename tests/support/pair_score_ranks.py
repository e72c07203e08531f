"""Losses and gradients over scores of pairs, of one of two processes that share the videos."""

from functools import partial

import torch
import torch.distributed as dist

from clipkit.adapters import hard_negatives, pair_contrastive

SPLITS = [(3, 3), (4, 1)]


class Scorer(torch.nn.Module):
    """Scores sentences `(N, L, 4)` and videos `(M, F, 4)` of any length by all their rows, with masks."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.text, self.video = torch.nn.Linear(4, 3).double(), torch.nn.Linear(4, 3).double()

    def forward(self, text, text_mask, video, video_mask, wanted=None):
        a = (self.text(text).tanh() * text_mask[..., None]).sum(1)
        b = (self.video(video).tanh() * video_mask[..., None]).sum(1)
        return a @ b.T if wanted is None else (a @ b.T).masked_fill(~wanted, -torch.inf)


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
    """Loss and gradients over all pairs, and over the hardest."""
    found = []
    for pick in (None, partial(hard_negatives, hard=1, random=0)):
        model = Scorer()
        loss = pair_contrastive(model, *material(total, rows), pick=pick)
        loss.backward()
        found += [loss.detach(), *[p.grad for p in model.parameters()]]
    return found


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
