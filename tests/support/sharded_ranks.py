"""Trainings of a few steps in one process, and in two that share them by `clipkit.FullyShard`."""

import os
import socket

import torch
import torch.multiprocessing as mp
from mmengine.optim import OptimWrapper

from clipkit.engine.build import build_runner
from clipkit.engine.registry import FUNCTIONS, OPTIM_WRAPPERS
from clipkit.sharding import local_bytes

CLIP = "clipkit-sharded-test"  # a test registers it: the tiny CLIP has batch norms, whose statistics are half a batch's

_COMMON = {
    "train_cfg.max_iters": 4,
    "train_cfg.val_interval": 2,  # between steps the model is whole, and sharded again
    "train_dataloader.num_workers": 0,
    "val_dataloader.num_workers": 0,
    "default_hooks.checkpoint.interval": 2,
    "default_hooks.checkpoint.max_keep_ckpts": -1,
    "default_hooks.checkpoint.save_best": "auto",  # which writes in the middle of a validation
    "default_hooks.checkpoint.rule": "greater",
    "optim_wrapper.optimizer.lr": 0.05,  # a few hundredths of it, during the warm-up
    "optim_wrapper.optimizer.eps": 1e-3,  # AdamW would make gradients of rounding's size count as much as others
    "custom_hooks": [],
}
TRAININGS = {
    "clip": (
        "clip/tiny_shapes.py",
        {
            **_COMMON,
            "model.clip": CLIP,
            "train_dataloader.dataset.batch": 4,
            "train_dataloader.collate_fn": {"type": "lists_of_items"},
            "val_cfg.count": 8,
        },
    ),
    "lseg": (
        "lseg/lseg_tiny_shapes.py",
        {
            **_COMMON,
            "model.tower": {
                "_delete_": True,
                "type": "TimmTower",
                "name": "vit_tiny_patch16_224",
                "layers": (0, 1, 2, 3),
                "model_args": {"depth": 4, "embed_dim": 48, "num_heads": 3, "img_size": 64},
            },
            "model.decoder": {"_delete_": True, "type": "DPTDecoder", "features": 16, "batch_norm": False},
            "model.train_classes": "shapes",  # no pixel is ignored: a mean of means is the mean
            "model.points": None,
            "model.precision": "fp32",
            "val_dataloader.dataset.length": 4,
        },
    ),
}


@FUNCTIONS.register_module()
def lists_of_items(items):
    return {key: [item[key] for item in items] for key in items[0]}


@OPTIM_WRAPPERS.register_module()
class ScaledOptimWrapper(OptimWrapper):
    loss_scaler = torch.amp.GradScaler("cpu")


def train(kind, work_dir, sharded=False, changes=None, **options):
    """Trains, and returns the runner: two samples a step in one process, or one in each of two."""
    config, common = TRAININGS[kind]
    changes = {**common, "train_dataloader.batch_size": 1 if sharded else 2, **(changes or {})}
    if sharded:
        changes["model_wrapper_cfg.type"] = "clipkit.FullyShard"
        options["launcher"] = "pytorch"
    runner = build_runner(config, work_dir=work_dir, seed=0, cfg_options=changes, **options)
    runner.train()
    return runner


def held_bytes(runner):
    """Of the parameters and of the optimiser's state, in this process, during a training."""
    runner.model.train()  # the last that it did was to validate
    states = runner.optim_wrapper.optimizer.state.values()
    moments = (value for state in states for value in state.values() if value.ndim)
    return [local_bytes(runner.model.parameters()), local_bytes(moments)]


def in_two_processes(work):
    """Runs `work(rank)` in two processes of one group, which begin as copies of this one; their exit codes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    context = mp.get_context("fork")
    processes = [context.Process(target=_begin, args=(rank, port, work)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=240)
        process.kill()
        process.join()
    return [process.exitcode for process in processes]


def _begin(rank, port, work):
    torch.set_num_threads(1)  # others do not live in the copy
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, CUDA_VISIBLE_DEVICES="")
    work(rank)
