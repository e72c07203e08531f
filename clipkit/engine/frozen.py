"""Frozen CLIPs stay out of checkpoints: a checkpoint names the model and its weights hash, and loading compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from torch import nn

from clipkit.errors import ClipkitError


def frozen_modules(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """(path, module) of every `FrozenCLIP` below `model`, each path of a shared one included. A `TunableCLIP` is none:
    its weights may have trained."""
    backbone = sys.modules.get("clipkit.backbone")  # where it was never imported, the model cannot hold one
    if backbone is None:
        return
    tunable = getattr(backbone, "TunableCLIP", ())
    for path, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, backbone.FrozenCLIP) and not isinstance(module, tunable):
            yield path, module


def frozen_records(model: nn.Module) -> list[dict[str, str]]:
    """What a checkpoint says of the frozen CLIPs it was trained with: `path`, `name`, `weights_hash`."""
    return [
        {"path": path, "name": str(module.name), "weights_hash": str(module.weights_hash)}
        for path, module in frozen_modules(model)
    ]


def left_out(model: nn.Module) -> list[str]:
    """Paths of the frozen CLIPs that `model.state_dict()` leaves out."""
    return [path for path, module in frozen_modules(model) if not module.save_with_parent]


def drop_frozen(state_dict: dict[str, Any], paths: list[str]) -> dict[str, Any]:
    """The state dict without what lies below `paths`."""
    prefixes = tuple(f"{path}." for path in paths)
    if "" in paths:
        return {}
    return {key: value for key, value in state_dict.items() if not key.startswith(prefixes)}


def student_alone(
    model: nn.Module, weights: dict[str, Any], records: list[dict[str, str]]
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Weights and records of frozen CLIPs as they are; or the student's part alone, where a `DistilledModel` was saved
    and `model` is none."""
    prefix = "student."
    if not any(key.startswith(prefix) for key in weights) or isinstance(getattr(model, "student", None), nn.Module):
        return weights, records
    own = [
        {**record, "path": record["path"].removeprefix(prefix)}
        for record in records
        if record["path"].startswith(prefix)
    ]
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}, own


def check_frozen(model: nn.Module, records: list[dict[str, str]], filename: str) -> None:
    """Compares the frozen CLIPs that a checkpoint was trained with to those in the model.

    Raises:
        ClipkitError: one is missing, or has other weights.
    """
    present = dict(frozen_modules(model))
    hashes = {str(module.weights_hash) for module in present.values()}
    for record in records:
        path, name, wanted = record["path"], record["name"], record["weights_hash"]
        if path in present:
            found = str(present[path].weights_hash)
            if found != wanted:
                raise ClipkitError(
                    f"{filename} was trained with frozen CLIP {name} (weights {wanted[:12]}…), but the model's "
                    f'"{path}" is {present[path].name} (weights {found[:12]}…): give the config the same CLIP weights'
                )
        elif wanted not in hashes:
            raise ClipkitError(
                f'{filename} was trained with frozen CLIP {name} (weights {wanted[:12]}…) at "{path}", and the model '
                "has no such part: use the config that the checkpoint was trained with"
            )
