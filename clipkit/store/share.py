"""Shards as tasks, and who does which: processes that share a disk, by their ranks and by locks. `clipkit.embed.crew`
hands the same tasks to workers of Ray."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from clipkit.store._files import StoreError, claim, commit, explain, sweep
from clipkit.store._key import differences
from clipkit.store._shard import encode

__all__ = [
    "Ahead", "Compute", "Shelf", "ShardTask", "Task", "Tick", "claim", "own_rank", "progress_bar", "refuse_other",
    "share", "sweep", "write",
]  # fmt: skip
_BAR_DELAY = 1.0  # seconds; work that takes less shows no bar
Compute = Callable[[list[str]], Sequence[Any]]
Ahead = Callable[[list[str]], Any]
Tick = Callable[[int], Any]


class Task(Protocol):
    """A shard that is to be computed, as plain values: it can be sent to another process or machine."""

    @property
    def number(self) -> int: ...

    @property
    def ids(self) -> list[str]: ...

    def batches(self) -> list[list[str]]:
        """The ids, as `compute` gets them."""
        ...

    def compute(self, compute: Compute, tick: Tick, ahead: Ahead | None = None, following: Sequence[str] = ()) -> bool:
        """False if the shard is there already, or another process is at it. `following` is the batch that this process
        computes after this shard's."""
        ...


class Shelf(Protocol):
    """What shards lie in, such as a `Store`."""

    def plan(self, ids: Iterable[str]) -> Sequence[Task]:
        """Fixes which shards the new ones of `ids` go to; gives those of all `ids`, also the complete ones."""
        ...

    def complete(self) -> set[int]:
        """Numbers of the shards that are there."""
        ...

    def tidy(self) -> None:
        """Removes what killed processes left."""
        ...


@dataclass(frozen=True)
class ShardTask:
    """A `Task` of a `Store`."""

    number: int
    path: Path
    ids: list[str]
    batch_size: int
    key_digest: str
    shards: int
    """How many the store has, complete or not."""

    def batches(self) -> list[list[str]]:
        return [self.ids[start : start + self.batch_size] for start in range(0, len(self.ids), self.batch_size)]

    def compute(self, compute: Compute, tick: Tick, ahead: Ahead | None = None, following: Sequence[str] = ()) -> bool:
        with claim(self.path) as fd:
            if fd is None:
                return False
            records: list[Any] = []
            batches = self.batches()
            for batch, after in zip(batches, [*batches[1:], list(following)]):
                if ahead is not None:
                    ahead(batch + after)
                found = list(compute(batch))
                if len(found) != len(batch):
                    raise ValueError(f"compute returned {len(found)} records for {len(batch)} ids")
                records += found
                tick(len(batch))
            write(fd, self.path, encode(self.ids, records, self.key_digest), self.shards)
        return True


def write(fd: int, path: Path, chunks: list[bytes | memoryview], shards: int) -> None:
    """`commit`, with the line for a disk that is full.

    Args:
        shards: how many the store has, complete or not.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        commit(fd, path, chunks)
    except OSError as error:
        count = len(list(path.parent.glob("*.safetensors" if path.suffix == ".json" else f"*{path.suffix}")))
        kept = f"{count} of {shards} shards are complete and stay"
        raise explain(error, path, sum(map(len, chunks)), kept) from None


def refuse_other(folder: str | Path, made: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raises StoreError where what made a folder is not what is asked for; the line names the fields."""
    if wrong := differences(made, asked):
        raise StoreError(f"{folder}: was made by something else: {'; '.join(wrong)}; use another folder")


def own_rank() -> tuple[int, int]:
    """This process's rank and the number of processes, as torchrun or else Slurm's srun has put them into the
    environment; (0, 1) for one alone."""
    for rank, size in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if rank in os.environ:
            return int(os.environ[rank]), int(os.environ.get(size, "1"))
    return 0, 1


def share(
    shelf: Shelf,
    tasks: Sequence[Task],
    compute: Compute,
    *,
    ranks: tuple[int, int],
    progress: bool,
    desc: str,
    unit: str,
    ahead: Ahead | None = None,
    note: Callable[[], str] | None = None,
) -> int:
    """Does what is missing of `tasks` and returns when all of it is there, whoever did it; see `Store.build`.

    Returns:
        The number of records computed by this process.
    """
    rank, world_size = ranks
    complete = shelf.complete()
    # Own shards first; whoever has finished helps the others, so a slow or dead rank holds nobody up.
    pending = [task for task in tasks if task.number not in complete]
    queue = deque(sorted(pending, key=lambda task: (task.number % world_size != rank, task.number)))
    count = stalled = 0
    looked = time.monotonic()
    total, left = (sum(len(task.ids) for task in part) for part in (tasks, pending))
    shown = progress and rank == 0 and sum(len(task.batches()) for task in pending) > 1
    with progress_bar(shown, note, total=total, initial=total - left, desc=desc, unit=unit) as tick:
        while queue:
            following = queue[1].batches()[0] if len(queue) > 1 else []
            if queue[0].compute(compute, tick, ahead, following):
                count += len(queue.popleft().ids)
                stalled = 0
            else:
                queue.rotate(-1)
                stalled += 1
            waiting = stalled >= len(queue)
            if waiting or time.monotonic() - looked > 1:
                complete, looked = shelf.complete(), time.monotonic()
                tick(sum(len(task.ids) for task in queue if task.number in complete))
                queue = deque(task for task in queue if task.number not in complete)
                if waiting and queue:
                    time.sleep(0.05)
                    stalled = 0
    shelf.tidy()
    return count


@contextmanager
def progress_bar(shown: bool, note: Callable[[], str] | None, **options: Any) -> Iterator[Tick]:
    """What is called with a number of finished items; `note` is asked for more to say after each."""
    if not shown:
        yield lambda count: None
        return
    from tqdm import tqdm  # only here: it starts multiprocessing's locks

    with tqdm(delay=_BAR_DELAY, **options) as bar:

        def tick(count: int) -> None:
            if note is not None:
                bar.set_postfix_str(note(), refresh=False)
            bar.update(count)

        yield tick
