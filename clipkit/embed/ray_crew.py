"""Workers of a Ray cluster that fill a store (extra `ray`): each loads CLIP once and is handed shards, one at a time. A
shard whose worker died is handed to another one.

The folders that are read and written must be the same on all machines. What the workers are sent is pickled by Ray, as
between processes of one program: connect to clusters of your own only.
"""

from __future__ import annotations

import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from clipkit.embed.crew import Done, Make
from clipkit.errors import ClipkitError, one_line
from clipkit.store.share import Shelf, Task, progress_bar

TRIES = 4  # workers that a shard may cost; one that is out of memory each time would cost all
_LOST = "RayActorError", "NodeDiedError", "OutOfMemoryError", "WorkerCrashedError", "ObjectLostError"


class RayCrew:
    """A `clipkit.embed.crew.Crew`: a worker for each GPU of the cluster, for each CPU where it has none.

    Args:
        address: of the cluster, see `ray.init`; 'auto' for the one that this machine belongs to.
        load: a model of the worker's own, and what it says for a store's key; it must pickle.
        workers: threads that read, of each.

    Raises:
        ClipkitError: Ray is not installed, there is no cluster, or CLIP could not be loaded there.
    """

    reports = True

    def __init__(self, address: str, load: Callable[[], tuple[Any, dict[str, Any]]], workers: int) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise ClipkitError('--ray needs the package ray: pip install -e ".[ray]"') from None
        if workers < 1:
            raise ClipkitError("--workers must be at least 1")
        self._ray = ray
        try:
            _knock(address)
            ray.init(address, log_to_driver=False, configure_logging=False, ignore_reinit_error=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise ClipkitError(f"--ray {address}: no cluster answers there ({one_line(error, 200)})") from None
        try:
            self._begin(load, workers, address)
        except BaseException:
            ray.shutdown()
            raise

    def _begin(self, load: Callable[[], tuple[Any, dict[str, Any]]], workers: int, address: str) -> None:
        ray = self._ray
        resources = ray.cluster_resources()
        gpus, cpus = (int(resources.get(kind, 0)) for kind in ("GPU", "CPU"))
        self._class = ray.remote(_Worker).options(num_cpus=1, num_gpus=1 if gpus else 0)
        self._about = (load, workers)
        self._coming: dict[Any, Any] = {}  # what each new worker says when it is ready -> the worker
        self._idle: list[Any] = []
        self._losses = 0
        self._most_losses = TRIES * (gpus or cpus)  # one after another, before any worker did something
        for _ in range(gpus or cpus):
            self._hire()
        if not self._coming:
            raise ClipkitError(f"--ray {address}: the cluster has neither CPUs nor GPUs to spare")
        self.made_by: dict[str, Any] = {}
        while not self._idle:
            self._greet(ray.wait(list(self._coming))[0][0])

    def __enter__(self) -> RayCrew:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()  # its workers end with it

    def fill(
        self, shelf: Shelf, sources: Mapping[str, Any], make: Make, *, desc: str, unit: str, progress: bool = True
    ) -> Done:
        """See `Crew.fill`.

        Raises:
            ClipkitError: what a worker raised; or a shard cost `TRIES` workers.
        """
        tasks = shelf.plan(sources)
        complete = shelf.complete()
        waiting = deque(task for task in tasks if task.number not in complete)
        total, left = (sum(len(task.ids) for task in part) for part in (tasks, waiting))
        how, done = self._ray.put(make), Done()
        running: dict[Any, tuple[Any, Task]] = {}
        tries: Counter[int] = Counter()
        with progress_bar(progress, None, total=total, initial=total - left, desc=desc, unit=unit) as tick:
            while waiting or running or (waiting := self._left(shelf, tasks)):
                while waiting and self._idle:
                    worker, task = self._idle.pop(), waiting.popleft()
                    own = {key: sources[key] for key in task.ids if key in sources}
                    running[worker.compute.remote(task, own, how)] = (worker, task)
                for answer in self._ray.wait([*running, *self._coming])[0]:
                    if answer in self._coming:
                        self._greet(answer)
                        continue
                    worker, task = running.pop(answer)
                    problems, counts = self._result(answer) or (None, None)
                    if problems is None:
                        tries[task.number] += 1
                        if tries[task.number] >= TRIES:
                            raise ClipkitError(
                                f"{task.ids[0]}: its shard cost {TRIES} workers of Ray, which died or ran out of "
                                "memory; look into Ray's logs, and leave it out or give them more memory"
                            )
                        waiting.appendleft(task)
                        self._hire()
                        continue
                    self._idle.append(worker)
                    self._losses = 0
                    done.problems.update(problems)
                    done.counts.update(counts)
                    tick(len(task.ids))
        shelf.tidy()
        return done

    def _left(self, shelf: Shelf, tasks: Sequence[Task]) -> deque[Task]:
        """What is missing when all have answered: a worker that was thought dead may still hold a shard."""
        complete = shelf.complete()
        left = deque(task for task in tasks if task.number not in complete)
        if left:
            time.sleep(1)
        return left

    def _hire(self) -> None:
        worker: Any = self._class.remote(*self._about)
        self._coming[worker.about.remote()] = worker

    def _greet(self, answer: Any) -> None:
        worker, about = self._coming.pop(answer), self._result(answer)
        if about is None:
            self._losses += 1
            if self._losses >= self._most_losses:
                raise ClipkitError(
                    f"Ray's workers died {self._losses} times before they had loaded CLIP; look into Ray's logs"
                )
            self._hire()
            return
        self.made_by = self.made_by or about
        if differing := [name for name, value in about.items() if value != self.made_by.get(name)]:
            raise ClipkitError(
                f"Ray's workers compute differently: {differing[0]} is {self.made_by[differing[0]]} on one and "
                f"{about[differing[0]]} on another; give --precision, or use machines of one kind"
            )
        self._idle.append(worker)

    def _result(self, answer: Any) -> Any:
        """What a worker gave; None where it was lost.

        Raises:
            Exception: what it raised.
        """
        from ray import exceptions

        try:
            return self._ray.get(answer)
        except exceptions.RayTaskError as error:
            raise getattr(error, "cause", None) or error from None
        except tuple(getattr(exceptions, name) for name in _LOST):
            return None


def _knock(address: str) -> None:
    """Raises OSError where nothing listens: Ray itself tries for minutes, and then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


class _Worker:
    """Runs on the cluster."""

    def __init__(self, load: Callable[[], tuple[Any, dict[str, Any]]], workers: int) -> None:
        self.load, self.workers = load, workers

    def about(self) -> dict[str, Any]:
        # Not in the constructor: what is wrong with the weights would then look like a worker that died.
        self.model, made_by = self.load()
        return made_by

    def compute(self, task: Task, sources: Mapping[str, Any], make: Make) -> tuple[dict[str, str], Counter[str]]:
        with ThreadPoolExecutor(self.workers) as pool, torch.no_grad():
            work = make(self.model, sources, pool)
            task.compute(work, lambda count: None, work.ahead)
        return work.problems, work.counts
