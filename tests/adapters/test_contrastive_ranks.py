"""Two gloo processes equal one: values averaged over ranks, gradients as DistributedDataParallel averages them."""

import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from clipkit.adapters import ContrastiveLoss, LogitScale


class Towers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.image, self.text, self.scale = torch.nn.Linear(8, 5), torch.nn.Linear(6, 5), LogitScale()
        self.double()

    def forward(self, images, texts):
        return self.image(images), self.text(texts), self.scale()


def batch(total):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(total, dim, generator=generator, dtype=torch.float64) for dim in (8, 6)]


def losses():
    return {f"contrastive-{chunk}": ContrastiveLoss(chunk=chunk) for chunk in (None, 4)}


def work(rank, port, queue):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    results = {}
    for name, loss in losses().items():
        for sizes in ([6, 6], [7, 3], [5, 0]):
            model = Towers()
            rows = slice(0, sizes[0]) if rank == 0 else slice(sizes[0], sum(sizes))
            value = loss(*model(*[part[rows] for part in batch(sum(sizes))]))
            value.backward()
            tensors = [value.detach(), *[p.grad for p in model.parameters()]]
            for tensor in tensors:
                dist.all_reduce(tensor)
            results[name, str(sizes)] = [(tensor / 2).numpy() for tensor in tensors]
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


@pytest.mark.parametrize("sizes", [[6, 6], [7, 3], [5, 0]], ids=str)
@pytest.mark.parametrize("name", list(losses()))
def test_two_ranks_equal_one(two_ranks, name, sizes):
    model = Towers()
    value = losses()[name](*model(*batch(sum(sizes))))
    value.backward()
    expected = [value.detach(), *[p.grad for p in model.parameters()]]
    for got, want in zip(two_ranks[name, str(sizes)], expected):
        torch.testing.assert_close(torch.from_numpy(got), want, rtol=0, atol=1e-10)


def test_a_rank_alone_differs(two_ranks):
    """The check above has teeth: without gathering, halves of the batch give another loss."""
    model, parts = Towers(), batch(12)
    halves = [ContrastiveLoss()(*model(*[p[rows] for p in parts])) for rows in (slice(0, 6), slice(6, 12))]
    assert abs(sum(halves).item() / 2 - float(two_ranks["contrastive-None", "[6, 6]"][0])) > 1e-3
