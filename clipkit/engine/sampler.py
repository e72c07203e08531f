"""Sampling that can stop and go on: a draw's index and its random numbers depend on the seed and the draw's position
alone, not on the worker count, on what was drawn before, or on how often the run was killed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from torch.utils.data import Dataset, Sampler

from clipkit.engine.registry import DATA_SAMPLERS, DATASETS


class Draw(int):
    """An index into a data set that also knows its position in the run, `draw` (0 for the first sample of the run).

    An int, so that data sets and batch samplers that know nothing of draws see a plain index.
    """

    draw: int

    def __new__(cls, index: int, draw: int) -> Draw:
        self = super().__new__(cls, index)
        self.draw = draw
        return self

    def __reduce__(self) -> tuple:
        return Draw, (int(self), self.draw)


@DATA_SAMPLERS.register_module()
class ResumableInfiniteSampler(Sampler):
    """Endless permutations of a data set, one seeded permutation an epoch, shared among ranks by striding.

    Position `p` of the run is sample `permutation(seed, p // len)[p % len]`; rank `r` of `w` draws positions
    `r, r + w, r + 2w, …`. So the union over ranks is the same for any number of them, and any position is reached
    at the cost of one permutation.

    Args:
        dataset: anything with a length.
        shuffle: whether epochs are permuted.
        seed: the run's seed, the same on all ranks.
    """

    def __init__(self, dataset: Any, shuffle: bool = True, seed: int | None = 0) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.size = len(dataset)
        if self.size == 0:
            raise ValueError(f"the data set {type(dataset).__name__} is empty: nothing to train on")
        self.shuffle = shuffle
        self.seed = int(seed or 0)
        self._start = 0

    def skip(self, num_samples: int) -> None:
        """Starts at this rank's sample number `num_samples`, counted from the start of the run."""
        if num_samples < 0:
            raise ValueError(f"num_samples must not be negative, got {num_samples}")
        self._start = num_samples

    def __iter__(self) -> Iterator[Draw]:
        position = self._start * self.world_size + self.rank
        epoch = -1
        while True:
            if position // self.size != epoch:
                epoch = position // self.size
                order = self.order(epoch)
            yield Draw(int(order[position % self.size]), position)
            position += self.world_size

    def order(self, epoch: int) -> np.ndarray:
        """`(size,)` the samples of an epoch, of all ranks."""
        everything = np.arange(self.size)
        return np.random.default_rng([self.seed, epoch]).permutation(everything) if self.shuffle else everything

    def __len__(self) -> int:
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Endless: there is no epoch to set."""


@DATASETS.register_module()
class SeededDataset(Dataset):
    """Seeds python's, numpy's and torch's generators from (seed, draw position) before a sample is read, so that random
    augmentation is the same in any worker and after any restart. Everything else is the wrapped data set's.

    Args:
        dataset: a data set, or the config of one.
        seed: the run's seed.
    """

    def __init__(self, dataset: Any, seed: int = 0) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
            if hasattr(dataset, "full_init"):
                dataset.full_init()
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, index: int) -> Any:
        draw = index.draw if isinstance(index, Draw) else int(index)
        seed_everything(self.seed, draw)
        return self.dataset[index]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name == "dataset" or name.startswith("__"):  # while unpickling in a worker there is no `dataset` yet
            raise AttributeError(name)
        return getattr(self.dataset, name)


def seed_everything(*entropy: int, cuda: bool = False) -> None:
    """Seeds the generators of python, numpy and torch from non-negative integers, with independent streams for
    different tuples.

    Args:
        cuda: also seed the CUDA generators (never needed in a worker).
    """
    words = np.random.SeedSequence(entropy).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch_seed = (int(words[2]) << 31) ^ int(words[3])
    if cuda:
        torch.manual_seed(torch_seed)
    else:
        torch.random.default_generator.manual_seed(torch_seed)
