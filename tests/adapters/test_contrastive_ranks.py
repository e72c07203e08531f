"""Two gloo processes equal one: values averaged over ranks, gradients as DistributedDataParallel averages them."""

import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from clipkit.adapters import ContrastiveLoss, LogitScale, MultiPositiveLoss, SigmoidLoss

SPLITS = [[6, 6], [7, 3], [5, 0]]
LOSSES = {
    "contrastive": lambda x, y, scale, ids: ContrastiveLoss()(x, y, scale),
    "contrastive in chunks": lambda x, y, scale, ids: ContrastiveLoss(chunk=4)(x, y, scale),
    "normalized targets": lambda x, y, scale, ids: MultiPositiveLoss()(x, y, scale, ids),
    "softmax targets in chunks": lambda x, y, scale, ids: MultiPositiveLoss("softmax", chunk=4)(x, y, scale, ids),
    "sigmoid": lambda x, y, scale, ids: SigmoidLoss()(x, y, scale, -5.0),
    "sigmoid with ids": lambda x, y, scale, ids: SigmoidLoss(chunk=4)(x, y, scale, -5.0, ids),
}


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


@pytest.fixture(scope="module")
def two_ranks():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = mp.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=work, args=(rank, port, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    results = queue.get(timeout=120)
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    return results


@pytest.mark.parametrize("first, second", SPLITS)
@pytest.mark.parametrize("name", list(LOSSES))
def test_two_ranks_equal_one(two_ranks, name, first, second):
    expected = step(LOSSES[name], slice(None), first + second)
    for got, want in zip(two_ranks[name, first, second], expected):
        torch.testing.assert_close(torch.from_numpy(got), want, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_halves_alone_would_differ(two_ranks, name):
    """The comparison has teeth: without the other rank's rows the loss is another."""
    halves = [step(LOSSES[name], rows, 12)[0].item() for rows in (slice(0, 6), slice(6, None))]
    assert abs(sum(halves) / 2 - float(two_ranks[name, 6, 6][0])) > 1e-3
