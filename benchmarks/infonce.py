"""Chunked ContrastiveLoss against open_clip's ClipLoss, forward and backward: `python benchmarks/infonce.py`.

CPU: every measurement is a process of its own (cases take turns), because a process cannot give its peak back. It runs
one step for the peak: the high-water mark of its resident memory less what was resident before the step, inputs
excluded; and then one step for the time. GPU: one process, `torch.cuda.max_memory_allocated` likewise.
All cases get the same unit rows in float32, and their losses are compared before a ratio is printed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from _memory import MIB, read_peak, reset_peak
from _timing import Report, Spread, parser, ratio, start, synchronize

from clipkit.adapters import ContrastiveLoss

CASES = ("open_clip", "plain", "chunked")


def build(case: str, chunk: int) -> Callable:
    if case == "open_clip":
        from open_clip.loss import ClipLoss

        return ClipLoss()
    return ContrastiveLoss(chunk=chunk if case == "chunked" else None, normalize=False)


def inputs(batch: int, dim: int, device: str) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, dim, generator=generator)
    y = x + 2 * torch.randn(batch, dim, generator=generator)
    x, y = (torch.nn.functional.normalize(rows, dim=1).to(device).requires_grad_() for rows in (x, y))
    return x, y, torch.tensor(1 / 0.07, device=device, requires_grad=True)


def step(loss: Callable, tensors: tuple[torch.Tensor, ...]) -> float:
    for tensor in tensors:
        tensor.grad = None
    value = loss(*tensors)
    value.backward()
    return value.item()


def measure(case: str, batch: int, dim: int, chunk: int, device: str) -> dict[str, float]:
    """`seconds` of a step, `mib` of its peak, `loss`."""
    loss = build(case, chunk)
    step(loss, inputs(64, dim, device))  # libraries allocate their own buffers at first use
    tensors = inputs(batch, dim, device)
    before = reset_peak(device)
    step(loss, tensors)
    peak = read_peak(device) - before
    synchronize(device)
    begin = time.perf_counter()
    value = step(loss, tensors)
    synchronize(device)
    return {"seconds": time.perf_counter() - begin, "mib": peak / MIB, "loss": value}


def in_own_process(case: str, batch: int, args) -> dict[str, float]:
    sizes = [str(n) for n in (batch, args.dim, args.chunk, args.threads)]
    done = subprocess.run(
        [sys.executable, __file__, "--measure", case, *sizes], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{case} at batch {batch} ended with {done.returncode} (out of memory?): {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        batch, dim, chunk, threads = (int(n) for n in sys.argv[3:7])
        torch.set_num_threads(threads)
        print(json.dumps(measure(sys.argv[2], batch, dim, chunk, "cpu")))
        return
    options = parser(__doc__, rounds=3)
    options.add_argument("--batches", type=int, nargs="+", help="default: 8192 16384 on a CPU, 32768 on a GPU")
    options.add_argument("--dim", type=int, default=512)
    options.add_argument("--chunk", type=int, default=1024, help="rows at a time (default: 1024)")
    args = options.parse_args()
    start(args)
    on_gpu = args.device.startswith("cuda")
    batches = args.batches or ([32768] if on_gpu else [8192, 16384])
    if args.quick:
        batches, args.chunk, args.dim = [512], 128, 64

    columns = ["batch", "case", "peak memory", "peak / open_clip", "time of a step", "time / open_clip"]
    report = Report(args, "infonce", columns)
    for batch in batches:
        seconds: dict[str, list[float]] = {case: [] for case in CASES}
        peaks: dict[str, list[float]] = {case: [] for case in CASES}
        expected: float | None = None
        for number in range(args.rounds):
            for case in CASES if number % 2 == 0 else reversed(CASES):
                if on_gpu:
                    got = measure(case, batch, args.dim, args.chunk, args.device)
                else:
                    got = in_own_process(case, batch, args)
                seconds[case].append(got["seconds"])
                peaks[case].append(got["mib"])
                expected = got["loss"] if expected is None else expected
                if abs(got["loss"] - expected) > 1e-4 * abs(expected):
                    raise SystemExit(f"losses differ: {case} gives {got['loss']}, {CASES[0]} {expected}")
        for case in CASES:
            name = {"open_clip": "open_clip ClipLoss", "plain": "clipkit, plain"}
            peak, memory = Spread.of(peaks[case]), ratio(peaks, case, "open_clip")
            took, relative = Spread.of(seconds[case]), ratio(seconds, case, "open_clip")
            report.row(
                str(batch),
                name.get(case, f"clipkit, chunk {args.chunk}"),
                peak.text(".0f", " MiB"),
                memory.text(".2f"),
                took.text(".2f", " s"),
                relative.text(".2f"),
                batch=batch,
                dim=args.dim,
                case=case,
                chunk=args.chunk if case == "chunked" else None,
                peak_mib=peak,
                peak_ratio=memory,
                seconds=took,
                time_ratio=relative,
            )


if __name__ == "__main__":
    main()
