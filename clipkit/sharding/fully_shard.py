"""torch's FSDP2 for mmengine's runner (Zhao et al. 2023, arXiv:2304.11277; here `fully_shard`, by parameter)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import all_gather_object, broadcast
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from clipkit.device import own_device
from clipkit.engine.registry import MODEL_WRAPPERS
from clipkit.errors import ClipkitError


@MODEL_WRAPPERS.register_module()
class FullyShard(nn.Module):
    """Shards a model over all processes of a training: `model_wrapper_cfg = dict(type="clipkit.FullyShard")`.

    Each transformer block is a group, whose whole parameters exist during its forward and backward pass alone; all the
    rest is one more group, whole from the start of a step to its end. Frozen parameters are sharded likewise. A
    validation holds the whole model in every process, as their pictures and calls may differ.

    The last block of each list belongs to the rest: CLIP's towers call it by its parts. So do single numbers, such as
    logit scales, which every process keeps; their gradients are averaged.

    Args:
        module: the model; its weights are initialised here, and are those of process 0 in all.
        blocks: names of lists of modules whose members are groups: open_clip's, timm's and transformers' blocks.

    Raises:
        ClipkitError: loss scaling (fp16), or a hook that copies the model (`EMAHook`).
    """

    def __init__(self, module: nn.Module, blocks: Sequence[str] = ("resblocks", "blocks", "layer")) -> None:
        super().__init__()
        initialise: Any = getattr(module, "init_weights", None)
        if initialise is not None:
            initialise()
        for tensor in chain(module.parameters(), module.buffers()):
            tensor.data = tensor.data.contiguous()  # FSDP2 takes no channels_last
            broadcast(tensor.data)
        self._bytes = local_bytes(module.parameters())
        self._begun = False
        self._shard(module, blocks)
        self.module = module
        module.register_load_state_dict_pre_hook(_take_shards)
        kind: Any = type(module)  # the class that `fully_shard` made of the model's
        kind.__deepcopy__ = _refuse_copy  # torch's own refuses too, by an AssertionError

    def _shard(self, module: nn.Module, blocks: Sequence[str]) -> None:
        mesh = init_device_mesh(torch.device(own_device()).type, (dist.get_world_size(),))
        single = {parameter for parameter in module.parameters() if parameter.ndim == 0}
        for parameter in single:
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(_average)
        named = ((name.rpartition(".")[2], child) for name, child in module.named_modules())
        lists = [child for name, child in named if name in blocks and isinstance(child, (nn.ModuleList, nn.Sequential))]
        for block in chain.from_iterable(list(members)[:-1] for members in reversed(lists)):  # inner ones first
            fully_shard(block, mesh=mesh, ignored_params=single)
        root: Any = fully_shard(module, mesh=mesh, ignored_params=single)
        root._get_fsdp_state()._lazy_init()  # or a validation before the first step takes its first block for the root

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """One step of the model's own; see mmengine's `BaseModel`."""
        if not self._begun:
            self._begin(optim_wrapper)
        return self.module.train_step(data, optim_wrapper)  # type: ignore[operator]

    def _begin(self, optim_wrapper: Any) -> None:
        self._begun = True
        for rank, own in enumerate(all_gather_object(local_bytes(self.module.parameters()))):
            print_log(f"parameters on rank {rank}: {own / 1e6:,.1f} of {self._bytes / 1e6:,.1f} MB", "current")
        for own in getattr(optim_wrapper, "optim_wrappers", {"": optim_wrapper}).values():
            if getattr(own, "loss_scaler", None) is not None and own.loss_scaler.is_enabled():
                raise ClipkitError("clipkit.FullyShard: fp16 and its loss scaling are not served: use --amp bf16")
            if own.clip_grad_kwargs:  # torch's other way cannot take the norm over shards and single numbers
                own.clip_grad_kwargs.setdefault("foreach", True)

    def val_step(self, data: Any) -> list:
        return self.module.val_step(data)  # type: ignore[operator]

    def test_step(self, data: Any) -> list:
        return self.module.test_step(data)  # type: ignore[operator]

    def train(self, mode: bool = True) -> FullyShard:
        """In eval mode every process holds the whole model: passes need no other process."""
        for part in self.module.modules():
            if isinstance(part, FSDPModule):  # nothing is done twice
                part.set_reshard_after_forward(mode and part is not self.module, recurse=False)
                part.reshard() if mode else part.unshard()
        return super().train(mode)

    # Checkpoints: the files of a training without shards ------------------------------------------------------------

    def gather_state(self, part: Any) -> Any:
        """A state dict with whole tensors, on process 0 and its CPU; None for them elsewhere. All processes call it.

        A model's state dict has sharded it, also in eval mode: `train(self.training)` undoes that.
        """
        if isinstance(part, dict):
            return {key: self.gather_state(value) for key, value in part.items()}
        if isinstance(part, list):
            return [self.gather_state(value) for value in part]
        if isinstance(part, DTensor):
            whole = part.full_tensor()
            return whole.cpu() if dist.get_rank() == 0 else None
        return part

    def prepare_loading(self, optimizer: torch.optim.Optimizer) -> None:
        """Lets an optimiser take its own part of the whole state that its `load_state_dict` is given."""
        optimizer.register_load_state_dict_pre_hook(_take_state_shards)


def local_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes that this process holds of tensors, sharded ones or not."""
    own = (tensor.to_local() if isinstance(tensor, DTensor) else tensor for tensor in tensors)
    return sum(tensor.numel() * tensor.element_size() for tensor in own)


@torch.no_grad()
def _average(parameter: Tensor) -> None:
    """After each backward pass; what is accumulated from earlier ones is the same in all processes, and stays so."""
    assert parameter.grad is not None
    dist.all_reduce(parameter.grad)
    parameter.grad /= dist.get_world_size()


def _shard_like(whole: Any, own: Any) -> Any:
    if not isinstance(own, DTensor) or not isinstance(whole, Tensor) or whole.shape != own.shape:
        return whole  # torch says what does not fit
    # No process sends anything: each has the whole, and keeps a copy of its part.
    return distribute_tensor(whole, own.device_mesh, own.placements, src_data_rank=None).clone()


def _take_shards(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name, own in module.named_parameters(prefix.removesuffix("."), remove_duplicate=False):
        if name in state:
            state[name] = _shard_like(state[name], own)


def _take_state_shards(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    numbers = chain.from_iterable(group["params"] for group in state["param_groups"])
    weights = dict(zip(numbers, chain.from_iterable(group["params"] for group in optimizer.param_groups)))
    taken = {
        number: {key: _shard_like(value, weights.get(number)) for key, value in values.items()}
        for number, values in state["state"].items()
    }
    return {**state, "state": taken}


def _refuse_copy(module: nn.Module, memo: dict) -> Any:
    raise ClipkitError(
        f"clipkit.FullyShard: a hook copies the model {type(module).__name__}, as EMAHook does, and shards cannot be "
        "copied: leave the hook out (custom_hooks), or train without model_wrapper_cfg"
    )
