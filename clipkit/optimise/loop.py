"""The loop that moves pictures: progress, early stop, checkpoints, films, the best of what was seen."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from clipkit.data.video_file import write_video
from clipkit.errors import ClipkitError, shown
from clipkit.files import writing
from clipkit.optimise.parametrisations import Parametrisation
from clipkit.safe import load_tensors


class Optimised(NamedTuple):
    """What `optimise` ends with; the parametrisation holds the best pictures.

    Attributes:
        pictures: `(B, 3, H, W)` the best of each.
        loss: `(B,)` what the judge says of them.
        step: `(B,)` int64: after which step each was seen.
        history: `(E, B)` the judge's losses at each evaluation.
        steps: how many were made.
    """

    pictures: Tensor
    loss: Tensor
    step: Tensor
    history: Tensor
    steps: int


def optimise(
    parametrisation: Parametrisation,
    loss: Callable[[Tensor], dict[str, Tensor]],
    *,
    steps: int,
    lr: float,
    schedule: Callable[[float], float] | None = None,
    judge: Callable[[Tensor], Tensor] | None = None,
    every: int = 10,
    tolerance: float | None = None,
    generators: Sequence[torch.Generator] = (),
    checkpoint: str | os.PathLike | None = None,
    about: Sequence[object] = (),
    film: str | os.PathLike | None = None,
    fps: float = 10.0,
    progress: str | None = None,
) -> Optimised:
    """Moves B pictures by Adam, each for itself, and keeps the best of each.

    Args:
        parametrisation: what is moved; holds the best pictures at the end.
        loss: pictures `(B, 3, H, W)` -> losses by name, each `(B · k,)`, a picture's k copies side by side; their
            means over copies are summed.
        steps, lr: of Adam; `schedule` takes the share of steps done, in [0, 1), and gives a factor of the rate.
        judge: pictures -> `(B,)`, small is good, asked after each `every` steps and without gradients; default: the
            loss of the last step.
        tolerance: stop when the judge's mean has changed by no more twice running (CLIPasso: 1e-5).
        generators: whose states a checkpoint keeps: the cutouts'.
        checkpoint: a file, written at each evaluation; one that is there is taken up, and ends as if it had never been
            interrupted, bit for bit.
        about: what else tells this run from others: tensors and plain values. A checkpoint of others is refused.
        film: an MP4 of the pictures side by side at each evaluation, `fps` frames a second.
        progress: words before a bar; None: no bar.

    Raises:
        ClipkitError: the checkpoint is of another run or cannot be read; the film cannot be written; a loss that is not
            finite.
    """
    optimizer = torch.optim.Adam(parametrisation.groups(lr))
    rates = [group["lr"] for group in optimizer.param_groups]
    rows = parametrisation.rows()
    parameters = dict(parametrisation.named_parameters())
    with torch.no_grad():
        count = len(parametrisation.decode())
    state: dict[str, Any] = {
        "step": 0, "steps": steps, "best_loss": torch.full((count,), torch.inf), "history": torch.zeros(0, count),
        "best_step": torch.zeros(count, dtype=torch.int64), "frames": [],
        "best": {name: value.detach().clone() for name, value in parameters.items()},
    }  # fmt: skip
    if checkpoint is not None:
        state["about"] = _digest(about)
    if checkpoint is not None and os.path.exists(checkpoint):
        state = _resume(checkpoint, state, parameters, optimizer, generators)
    bar = tqdm(total=steps, initial=state["step"], desc=progress, unit="step", disable=progress is None)
    while state["step"] < steps and not _settled(state["history"], tolerance):
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate * (schedule(state["step"] / steps) if schedule else 1.0)
        losses = loss(parametrisation.decode())
        each = torch.stack([value.view(count, -1).mean(1) for value in losses.values()]).sum(0)
        if not torch.isfinite(each).all():
            raise ClipkitError(f"the loss is {each.tolist()} at step {state['step']}: a smaller lr may help")
        optimizer.zero_grad()
        each.sum().backward()
        optimizer.step()
        parametrisation.clamp_()
        state["step"] += 1
        bar.update()
        if state["step"] % every == 0 or state["step"] == steps:
            _evaluate(parametrisation, parameters, rows, state, judge, each.detach(), film is not None)
            bar.set_postfix_str(f"loss {state['history'][-1].mean():.4f}", refresh=False)
            if checkpoint is not None:
                _save(checkpoint, state, parameters, optimizer, generators)
    bar.close()
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(state["best"][name])
        pictures = parametrisation.decode()
    if film is not None:
        write_video([frame.numpy() for frame in state["frames"]], os.fspath(film), fps)
    return Optimised(pictures, state["best_loss"], state["best_step"], state["history"], state["step"])


@torch.no_grad()
def _evaluate(
    parametrisation: Parametrisation,
    parameters: dict[str, Any],
    rows: dict[str, Tensor],
    state: dict[str, Any],
    judge: Callable[[Tensor], Tensor] | None,
    last: Tensor,
    filmed: bool,
) -> None:
    pictures = parametrisation.decode()
    found = (judge(pictures) if judge else last).float().cpu()
    better = found < state["best_loss"]
    state["best_loss"] = torch.where(better, found, state["best_loss"])
    state["best_step"] = torch.where(better, state["step"], state["best_step"])
    for name, value in parameters.items():
        which = better[rows[name].cpu()].to(value.device)
        state["best"][name] = torch.where(which.view(-1, *[1] * (value.ndim - 1)), value, state["best"][name])
    state["history"] = torch.cat([state["history"], found[None]])
    if filmed:
        beside = torch.cat([*pictures], -1).clamp(0, 1).permute(1, 2, 0)
        state["frames"].append((beside * 255).round().byte().cpu())


def _settled(history: Tensor, tolerance: float | None) -> bool:
    if tolerance is None or len(history) < 3:
        return False
    return bool((history[-3:].mean(1).diff().abs() <= tolerance).all())


def _digest(about: Sequence[object]) -> str:
    digest = hashlib.sha256()
    for part in about:
        data = part.detach().cpu().contiguous().numpy().tobytes() if isinstance(part, Tensor) else repr(part).encode()
        digest.update(f"{len(data)} ".encode() + data)
    return digest.hexdigest()


def _save(path: Any, state: dict, parameters: dict, optimizer: Any, generators: Sequence[torch.Generator]) -> None:
    now = {name: value.detach() for name, value in parameters.items()}
    more = {"parameters": now, "optimizer": optimizer.state_dict(), "generators": [g.get_state() for g in generators]}
    with writing(path) as partial:
        torch.save({**state, **more}, partial)


def _resume(
    path: Any, fresh: dict, parameters: dict, optimizer: Any, generators: Sequence[torch.Generator]
) -> dict[str, Any]:
    try:
        state = {"about": fresh["about"], **load_tensors(path)}  # older ones do not say
        same = (
            set(state) == {*fresh, "parameters", "optimizer", "generators"}
            and (state["steps"], state["about"]) == (fresh["steps"], fresh["about"])
            and len(state["generators"]) == len(generators)
        )
        shapes = {name: value.shape for name, value in parameters.items()}
        if not same or any({k: v.shape for k, v in state[part].items()} != shapes for part in ("parameters", "best")):
            raise ValueError("it is of another run")
        rows = {name: fresh[name] for name in ("best_loss", "best_step")}
        rows["history"] = fresh["history"].new_zeros(len(state["history"]), *fresh["history"].shape[1:])
        if any((state[name].shape, state[name].dtype) != (row.shape, row.dtype) for name, row in rows.items()):
            raise ValueError("it is of another run")
        if type(state["step"]) is not int or not 0 <= state["step"] <= state["steps"]:
            raise ValueError(f"it says step {shown(state['step'], 20)} of {state['steps']}")
        looks = {(frame.ndim, frame.dtype, frame.shape) for frame in state["frames"]}
        if len(looks) > 1 or any(look[:2] != (3, torch.uint8) for look in looks):
            raise ValueError("its frames are no pictures of one size")
        own = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
        optimizer.load_state_dict(state["optimizer"])
        for group, options in zip(optimizer.param_groups, own):
            group.update(options)
        for parameter, kept in optimizer.state.items():
            shape = parameter.shape
            if {name: value.shape for name, value in kept.items()} != {
                "step": (),
                "exp_avg": shape,
                "exp_avg_sq": shape,
            }:
                raise ValueError("it is of another run")
        for generator, kept in zip(generators, state["generators"]):
            generator.set_state(kept)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ClipkitError(f"{path}: cannot be taken up ({error}); remove it to begin anew") from error
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(state["parameters"][name])
    return {key: state[key] for key in fresh}
