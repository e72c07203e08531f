"""Memory of a training of LSeg with ViT-L/16, a process: whole, and sharded by `clipkit.FullyShard`.

    python benchmarks/sharded_memory.py
    torchrun --nproc_per_node=2 benchmarks/sharded_memory.py

One step of SGD with momentum; then the bytes of parameters, gradients and momentum that each process holds. Weights are
random, the frozen CLIP with the text tower is ViT-B/32. With `--device cuda` also the most that torch had allocated
during the step, activations included.
"""

from __future__ import annotations

import logging
import os

import torch
import torch.distributed as dist
from _lseg import TOWERS, build_lseg
from _timing import Report, parser, start
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from clipkit.device import own_device
from clipkit.engine.distributed import init_process_group
from clipkit.sharding import FullyShard, local_bytes


def measure(tower: str, text: str, crop: int, batch: int, device: str) -> dict[str, float]:
    """MB of each kind in this process after a step."""
    model = build_lseg(tower, text, 150, device, "auto").train()
    step = FullyShard(model) if dist.is_initialized() else model
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.9)
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    samples = [SegDataSample() for _ in range(batch)]
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=torch.randint(150, (1, crop, crop), device=device))
    step(torch.rand(batch, 3, crop, crop, device=device), samples, mode="loss")["loss"].backward()
    optimizer.step()
    held = {
        "parameters": local_bytes(model.parameters()),
        "gradients": local_bytes(p.grad for p in trained if p.grad is not None),
        "momentum": local_bytes(state["momentum_buffer"] for state in optimizer.state.values()),
    }
    held["sum"] = sum(held.values())
    if device != "cpu":
        held["peak"] = torch.cuda.max_memory_allocated()
    return {name: count / 1e6 for name, count in held.items()}


def main() -> None:
    options = parser(__doc__, rounds=1)
    options.add_argument("--tower", default="vit_large_patch16_384", choices=TOWERS, help="default: LSeg's ViT-L/16")
    options.add_argument("--text", default="ViT-B-32", help="open_clip's name of the text tower (default: ViT-B-32)")
    options.add_argument("--batch", type=int, default=2, help="images a process (default: 2)")
    options.add_argument("--crop", type=int, default=480)
    args = options.parse_args()
    start(args)
    logging.disable(logging.WARNING)  # mmengine's line for each weight that it does not initialise
    if args.quick:
        args.tower, args.text, args.crop = "vit_tiny_patch16_224", "tiny-shapes", 64
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:
        init_process_group("pytorch")
    held = measure(args.tower, args.text, args.crop, args.batch, "cpu" if args.device == "cpu" else own_device())
    everyone: list = [held]
    if processes > 1:
        everyone = [None] * processes
        dist.all_gather_object(everyone, held)
    if processes == 1 or dist.get_rank() == 0:
        sizes = {"tower": args.tower, "text": args.text, "batch": args.batch, "crop": args.crop, "processes": processes}
        report = Report(args, "sharded_memory", ["processes", "process", *(f"{name} MB" for name in held)])
        for rank, own in enumerate(everyone):
            report.row(str(processes), str(rank), *(f"{mb:,.0f}" for mb in own.values()), **sizes, rank=rank, **own)
    if processes > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
