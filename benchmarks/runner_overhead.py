"""What the Runner adds to an LSeg training step: `python benchmarks/runner_overhead.py`.

One process trains configs/lseg/lseg_tiny_shapes.py through the Runner, with all hooks of a training step (timer, log
every 50 steps, schedulers, reseeding, clamping). After every block of steps it stops for a block of a bare PyTorch
loop: a copy of the model, the same scenes and transforms, the same optimiser, gradient clipping and schedule, its loss
read every 50 steps. Bare and Runner blocks alternate; each Runner block is divided by the mean of the bare blocks
before and after it. The bare loop does not reseed each sample, so what resuming exactly costs is counted as overhead.
Validation and checkpoints are left out: they belong to no step. Aim: <= 5 %.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import torch
from _timing import Report, Spread, parser, start, synchronize
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from torch.utils.data import DataLoader

from clipkit.engine import build_runner, load_config
from clipkit.shapes.tiny import FOLDER

LOG_EVERY = 50


def experiment(args: Any, iterations: int) -> Any:
    """The config with training alone."""
    cfg = load_config(args.config)
    for part in ("val", "test"):
        for key in ("dataloader", "cfg", "evaluator"):
            cfg[f"{part}_{key}"] = None
    cfg.custom_hooks = []
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations)
    cfg.default_hooks = dict(checkpoint=dict(type="clipkit.AtomicCheckpointHook", interval=10**9, save_last=False))
    cfg.train_dataloader.dataset.length = 16 * cfg.train_dataloader.batch_size
    if not FOLDER.is_dir():  # random weights take the same time
        cfg.model.text.clip = "tiny-shapes"
    if args.quick:
        cfg.train_dataloader.batch_size = 4
        cfg.train_dataloader.dataset.length = 16
    return cfg


def bare_loop(runner: Any) -> Iterator[None]:
    """One training step a `next`, as one would write it without a framework."""
    model = copy.deepcopy(runner.bare_model).train()
    wanted = dict(runner.cfg.optim_wrapper.optimizer)
    optimizer = getattr(torch.optim, wanted.pop("type"))(model.parameters(), **wanted)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, runner.max_iters)
    loader = DataLoader(
        runner.train_dataloader.dataset.dataset,
        batch_size=runner.cfg.train_dataloader.batch_size,
        shuffle=True,
        drop_last=True,
        collate_fn=pseudo_collate,
    )
    clip_grad = runner.cfg.optim_wrapper.get("clip_grad")
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    count = 0
    while True:
        for data in loader:
            batch = model.data_preprocessor(data, True)
            loss = model(**batch, mode="loss")["loss"]
            optimizer.zero_grad()
            loss.backward()
            if clip_grad:
                torch.nn.utils.clip_grad_norm_(trained, **clip_grad)
            optimizer.step()
            model.logit_scale.clamp_()
            schedule.step()
            count += 1
            if count % LOG_EVERY == 0:
                print(f"bare loop, step {count}: loss {loss.item():.4f}")
            yield


class Alternate(Hook):
    """After every `block` steps of the Runner, `block` steps of the bare loop; runs after all other hooks."""

    priority = "LOWEST"

    def __init__(self, block: int, device: str) -> None:
        self.block, self.device = block, device
        self.bare: list[float] = []
        self.runner: list[float] = []

    def before_train(self, runner: Any) -> None:
        self.loop = bare_loop(runner)

    def _bare_block(self) -> None:
        synchronize(self.device)
        begin = time.perf_counter()
        for _ in range(self.block):
            next(self.loop)
        synchronize(self.device)
        self.bare.append(time.perf_counter() - begin)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        done = batch_idx + 1
        if done % self.block:
            return
        synchronize(self.device)
        if done > self.block:
            self.runner.append(time.perf_counter() - self.begin)
        else:  # the first block of either warms up
            self._bare_block()
            self.bare.clear()
        self._bare_block()
        self.begin = time.perf_counter()


def main() -> None:
    options = parser(__doc__, rounds=12)
    options.add_argument("--config", default="lseg/lseg_tiny_shapes.py")
    options.add_argument("--block", type=int, default=LOG_EVERY, help=f"steps a block (default: {LOG_EVERY}, one log)")
    args = options.parse_args()
    start(args)
    on_gpu = torch.cuda.is_available()
    if on_gpu != args.device.startswith("cuda"):
        raise SystemExit("the Runner takes a GPU where there is one: use --device cuda, or hide it for --device cpu")
    block = 2 if args.quick else args.block
    alternate = Alternate(block, args.device)
    with tempfile.TemporaryDirectory() as folder:
        runner = build_runner(experiment(args, block * (args.rounds + 1)), work_dir=folder)
        runner.register_hook(alternate, priority="LOWEST")
        runner.train()
    around = [(a + b) / 2 for a, b in zip(alternate.bare, alternate.bare[1:])]
    overhead = Spread.of([100 * (r / b - 1) for r, b in zip(alternate.runner, around, strict=True)])
    noise = Spread.of([100 * (b / a - 1) for a, b in zip(alternate.bare, alternate.bare[1:])])
    bare, through = (Spread.of([1000 * s / block for s in part]) for part in (alternate.bare, alternate.runner))
    report = Report(args, "runner_overhead", ["config", "bare step", "Runner step", "overhead (aim <= 5 %)", "noise"])
    report.row(
        args.config,
        bare.text(".1f", " ms"),
        through.text(".1f", " ms"),
        overhead.text("+.1f", " %"),
        noise.text("+.1f", " %"),
        config=args.config,
        block=block,
        bare_ms=bare,
        runner_ms=through,
        overhead_percent=overhead,
        noise_percent=noise,
    )


if __name__ == "__main__":
    main()
