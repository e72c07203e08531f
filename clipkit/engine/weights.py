"""Weights on their way from a file into a model: names that wrappers changed, values that are not finite, what is
missing or has no place."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from clipkit.engine.checkpoint import DamagedCheckpoint
from clipkit.engine.frozen import drop_frozen, left_out
from clipkit.errors import ClipkitError, one_line, some

# What DistributedDataParallel, torch.compile, and modules that hold the model for training (Lightning's) put in front.
_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.")
_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer")  # states of a weight's own shape


def unwrap_names(weights: dict[str, Any], model: nn.Module) -> dict[str, Any]:
    """The weights under the names that `model` has for them, where wrappers around it or around a part of it added
    theirs, in any order. A name that the model itself has stays, and so does what would then meet another."""
    own = set(model.state_dict())
    compiled = {name.replace("_orig_mod.", ""): name for name in own}  # the model's own parts may be compiled too
    parts = {name.partition(".")[0] for name in own} | {name for name, _ in model.named_children()}
    outer = tuple(wrapper for wrapper in _WRAPPERS if wrapper.removesuffix(".") not in parts)

    def bare(name: str) -> str:
        while name not in own and name.startswith(outer):
            name = name.partition(".")[2]
        plain = name.replace("_orig_mod.", "")
        return compiled.get(plain) or compiled.get(plain.replace(".module.", ".")) or plain

    unwrapped: dict[str, Any] = {}
    for name, value in weights.items():
        short = bare(name)
        unwrapped[name if short in unwrapped or (short != name and short in weights) else short] = value
    return unwrapped


def broken_weights(weights: dict[str, Any], model: nn.Module) -> list[str]:
    """Names of the weights that hold NaN or infinity. Masks of attention among a model's buffers may hold -infinity."""
    trained = {name for name, _ in model.named_parameters(remove_duplicate=False)}

    def is_sound(name: str, value: torch.Tensor) -> bool:
        finite = torch.isfinite(value)
        if name.removeprefix("module.") not in trained:  # an averaged copy's names begin so
            finite |= value == -torch.inf
        return bool(finite.all())

    return [
        name
        for name, value in weights.items()
        if isinstance(value, torch.Tensor) and value.is_floating_point() and not is_sound(name, value)
    ]


def refuse_broken(weights: dict[str, Any], model: nn.Module, filename: str) -> None:
    """Raises:
    DamagedCheckpoint: a weight is not finite; see `broken_weights`.
    """
    if broken := broken_weights(weights, model):
        raise DamagedCheckpoint(
            f"{filename}: {len(broken)} of its weights are not finite ({some(broken)}): the training had diverged; use "
            "a checkpoint from before"
        )


def refuse_odd_state(optimizer: torch.optim.Optimizer) -> None:
    """Looks at what an optimiser took from a file, which torch does at the first step alone.

    Raises:
        TypeError: an option or a state of another kind, or of another shape than its weight.
    """
    for group in optimizer.param_groups:
        odd = [key for key, value in optimizer.defaults.items() if not _is_alike(group.get(key), value)]
        kinds = set()
        for weight in group["params"]:
            if state := optimizer.state.get(weight):
                kinds.add(frozenset((key, isinstance(held, torch.Tensor) or type(held)) for key, held in state.items()))
                odd += [key for key in _MOMENTS if key in state and state[key].shape != weight.shape]
        if odd or len(kinds) > 1:
            raise TypeError(f"the optimiser's {odd[0] if odd else 'state'}")


def _is_alike(value: Any, own: Any) -> bool:
    if isinstance(own, (list, tuple)):
        return isinstance(value, (list, tuple)) and len(value) == len(own) and all(map(_is_alike, value, own))
    if isinstance(own, (bool, type(None))):
        return isinstance(value, (bool, type(None)))
    return isinstance(value, (int, float, torch.Tensor) if isinstance(own, (int, float)) else type(own))


def load_weights(
    model: nn.Module, state_dict: dict[str, Any], filename: str, *, strict: bool, logger: Any = None
) -> None:
    """Copies weights into a model; what lies below frozen CLIPs is neither expected nor overwritten.

    Raises:
        DamagedCheckpoint: a weight is not finite, or is no tensor.
        ClipkitError: another shape; with `strict`, also missing or unexpected weights.
    """
    paths = left_out(model)
    state_dict = drop_frozen(state_dict, paths)
    refuse_broken(state_dict, model, filename)
    own = model.state_dict()
    if odd := [name for name, value in state_dict.items() if name in own and not isinstance(value, torch.Tensor)]:
        raise DamagedCheckpoint(f"{filename}: not a readable checkpoint: {some(odd)} should be tensors")
    try:
        result = model.load_state_dict(state_dict, strict=False)
    except RuntimeError as error:
        problem = one_line(error).partition(":")[2].strip() or one_line(error)
        raise ClipkitError(f"{filename} does not fit the model: {problem[:300]}") from error
    missing = list(drop_frozen(dict.fromkeys(result.missing_keys), paths))
    problems = []
    if missing:
        problems.append(f"{len(missing)} weights of the model are not in it ({some(missing)})")
    if result.unexpected_keys:
        problems.append(f"{len(result.unexpected_keys)} of its weights have no place ({some(result.unexpected_keys)})")
    if problems:
        message = f"{filename} does not fit the model: {'; '.join(problems)}"
        if strict:  # one that only lacks some may be damaged
            kind = ClipkitError if result.unexpected_keys else DamagedCheckpoint
            raise kind(f"{message}; use the config that it was trained with")
        if logger is not None:
            logger.warning(message)
