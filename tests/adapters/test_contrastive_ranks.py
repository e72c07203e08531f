"""Two gloo processes equal one: values averaged over ranks, gradients as DistributedDataParallel averages them."""

import socket

import pytest
import torch
import torch.multiprocessing as mp

from support.contrastive_ranks import LOSSES, SPLITS, step, work


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
