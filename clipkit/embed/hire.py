"""Who does the work of a command, as its options say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from clipkit.device import own_device, usable_device
from clipkit.embed.crew import Alone, Crew, Load
from clipkit.embed.ray_crew import RayCrew


@contextmanager
def hire(load: Load, ray: str | None, device: str | None, workers: int) -> Iterator[Crew]:
    """Who works: on the cluster `ray`, or this process where that is None.

    Args:
        ray: address of a Ray cluster, 'auto' for the one that this machine belongs to.
        device: of this process's model; Ray's workers take the GPU that they are given.
        workers: threads that read, of each.

    Raises:
        ClipkitError: the device or the cluster cannot be used.
    """
    if ray is None:
        model, made_by = load(usable_device(device or own_device()))
        yield Alone(model, made_by, workers)
        return
    with RayCrew(ray, partial(_load_own, load, device), workers) as crew:
        yield crew


def _load_own(load: Load, device: str | None) -> tuple[Any, dict[str, Any]]:
    return load(usable_device(device or own_device()))
