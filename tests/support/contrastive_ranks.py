"""Losses and gradients of one of two processes that share a batch."""

import torch
import torch.distributed as dist

from clipkit.adapters import ContrastiveLoss, LogitScale, MultiPositiveLoss, SigmoidLoss

SPLITS = [[6, 6], [7, 3], [5, 0]]
LOSSES = {
    "contrastive": lambda x, y, scale, ids: ContrastiveLoss()(x, y, scale),
    "contrastive in chunks": lambda x, y, scale, ids: ContrastiveLoss(chunk=4)(x, y, scale),
    "moments left out": lambda x, y, scale, ids: ContrastiveLoss(overlap=0.5)(x, y, scale, _windows(ids)),
    "normalized targets": lambda x, y, scale, ids: MultiPositiveLoss()(x, y, scale, ids),
    "softmax targets in chunks": lambda x, y, scale, ids: MultiPositiveLoss("softmax", chunk=4)(x, y, scale, ids),
    "sigmoid": lambda x, y, scale, ids: SigmoidLoss()(x, y, scale, -5.0),
    "sigmoid with ids": lambda x, y, scale, ids: SigmoidLoss(chunk=4)(x, y, scale, -5.0, ids),
}


def _windows(ids):
    """All pairs of an id are of one moment."""
    return torch.stack([ids, 0 * ids, 0 * ids + 2], 1).double()


class Towers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.image, self.text, self.scale = torch.nn.Linear(8, 5), torch.nn.Linear(6, 5), LogitScale()
        self.double()

    def forward(self, images, texts):
        return self.image(images), self.text(texts), self.scale()


def step(loss, rows, total):
    """Loss and gradients of the given rows of a fixed batch."""
    generator = torch.Generator().manual_seed(1)
    parts = [torch.randn(total, dim, generator=generator, dtype=torch.float64) for dim in (8, 6)]
    ids = torch.arange(total) * 5 % 4
    model = Towers()
    value = loss(*model(*[part[rows] for part in parts]), ids[rows])
    value.backward()
    return [value.detach(), *[p.grad for p in model.parameters()]]


def work(rank, port, queue):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    results = {}
    for name, loss in LOSSES.items():
        for first, second in SPLITS:
            tensors = step(loss, slice(0, first) if rank == 0 else slice(first, None), first + second)
            for tensor in tensors:
                dist.all_reduce(tensor)
            results[name, first, second] = [(tensor / 2).numpy() for tensor in tensors]
    if rank == 0:
        queue.put(results)
    dist.barrier()
    dist.destroy_process_group()
