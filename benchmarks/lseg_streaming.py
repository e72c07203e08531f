"""Labels in chunks against logits of all labels: `python benchmarks/lseg_streaming.py`.

Both cases get the same embedding (512 channels at half of 1024 x 1024) and text, and give each pixel's label and its
probability. "All at once": cosines, bilinear interpolation, softmax, maximum. "In chunks": `classify_stream`. CPU:
every measurement is a process of its own, because a process cannot give its peak back; memory is the high-water mark
of its resident memory less what was resident before. One run is for the peak, one for the time; the cases' results are
compared. All at once does not fit at 10,000 labels (84 GB): its row continues the line through the two measured
ones, and says "extrapolated".
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from _memory import MIB, read_peak, reset_peak
from _timing import Report, Spread, parser, ratio, start, synchronize

from clipkit.inference import classify_stream

CASES = {"all": "all at once", "chunks": "in chunks"}
SCALE = 1 / 0.07


@torch.no_grad()
def classify(case: str, embedding: torch.Tensor, text: torch.Tensor, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels and their probabilities."""
    if case == "chunks":
        found = classify_stream(embedding, text, (side, side), SCALE)
        return found.labels, found.probability
    logits = SCALE * F.conv2d(F.normalize(embedding, dim=1), text[:, :, None, None])
    probability, labels = F.interpolate(logits, (side, side), mode="bilinear").softmax(1).max(1)
    return labels, probability


def measure(case: str, labels: int, side: int, dim: int, device: str) -> dict[str, float]:
    """`seconds`, `mib` at the peak, and two numbers that tell the results apart."""
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(1, dim, side // 2, side // 2, generator=generator).to(device)
    text = F.normalize(torch.randn(labels, dim, generator=generator), dim=1).to(device)
    classify(case, embedding[..., :16, :16], text[:2], 32)  # libraries allocate their own buffers at first use
    before = reset_peak(device)
    classify(case, embedding, text, side)
    peak = max(read_peak(device) - before, 4096)  # a page: with --quick nothing may be left to see
    synchronize(device)
    begin = time.perf_counter()
    found, probability = classify(case, embedding, text, side)
    synchronize(device)
    seconds = time.perf_counter() - begin
    check = {"label": found.double().mean().item(), "probability": probability.double().mean().item()}
    return {"seconds": seconds, "mib": peak / MIB, **check}


def in_own_process(case: str, labels: int, args: argparse.Namespace) -> dict[str, float]:
    sizes = [str(n) for n in (labels, args.side, args.dim, args.threads)]
    done = subprocess.run(
        [sys.executable, __file__, "--measure", case, *sizes], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{case}, {labels} labels: ended with {done.returncode} (out of memory?) {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(results: dict[str, dict[str, float]], labels: int) -> None:
    """Means over all pixels: a label map with one part in 10,000 wrong would show."""
    a, b = results["all"], results["chunks"]
    if abs(a["label"] - b["label"]) > 1e-4 * labels or abs(a["probability"] - b["probability"]) > 1e-5:
        raise SystemExit(f"{labels} labels: the results differ, {a} and {b}: no time is comparable")


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        labels, side, dim, threads = (int(n) for n in sys.argv[3:7])
        torch.set_num_threads(threads)
        print(json.dumps(measure(sys.argv[2], labels, side, dim, "cpu")))
        return
    options = parser(__doc__, rounds=3)
    options.add_argument("--labels", type=int, nargs=2, default=[150, 847], help="both cases (default: 150 847)")
    options.add_argument("--many", type=int, default=10_000, help="in chunks alone (default: 10000)")
    options.add_argument("--side", type=int, default=1024, help="of the square image (default: 1024)")
    options.add_argument("--dim", type=int, default=512)
    args = options.parse_args()
    start(args)
    if args.quick:
        args.labels, args.many, args.side, args.dim, args.rounds = [10, 40], 100, 64, 16, 1

    def run(case: str, labels: int) -> dict[str, float]:
        if args.device.startswith("cuda"):
            return measure(case, labels, args.side, args.dim, args.device)
        return in_own_process(case, labels, args)

    columns = ["labels", "case", "peak memory", "peak / all at once", "time", "time / all at once"]
    report = Report(args, "lseg_streaming", columns)

    def row(labels: int, case: str, title: str, seconds: dict, peaks: dict) -> None:
        peak, memory = Spread.of(peaks[case]), ratio(peaks, case, "all")
        took, relative = Spread.of(seconds[case]), ratio(seconds, case, "all")
        report.row(
            f"{labels:,}",
            title,
            peak.text(".0f", " MiB"),
            memory.text(".3f"),
            took.text(".1f", " s"),
            relative.text(".2f"),
            labels=labels,
            case=title,
            side=args.side,
            dim=args.dim,
            peak_mib=peak,
            peak_ratio=memory,
            seconds=took,
            time_ratio=relative,
        )

    measured: dict[int, tuple[dict, dict]] = {}
    for labels in args.labels:
        seconds: dict[str, list[float]] = {case: [] for case in CASES}
        peaks: dict[str, list[float]] = {case: [] for case in CASES}
        for number in range(args.rounds):
            got = {case: run(case, labels) for case in (CASES if number % 2 == 0 else reversed(CASES))}
            compare(got, labels)
            for case in CASES:
                seconds[case].append(got[case]["seconds"])
                peaks[case].append(got[case]["mib"])
        measured[labels] = seconds, peaks
        for case, title in CASES.items():
            row(labels, case, title, seconds, peaks)

    few, more = args.labels
    grown = []
    for of_few, of_more in zip(measured[few], measured[more]):
        pairs = zip(of_few["all"], of_more["all"])
        grown.append([a + (b - a) / (more - few) * (args.many - few) for a, b in pairs])
    single = [run("chunks", args.many) for _ in range(args.rounds)]
    seconds = {"all": grown[0], "chunks": [got["seconds"] for got in single]}
    peaks = {"all": grown[1], "chunks": [got["mib"] for got in single]}
    row(args.many, "all", f"{CASES['all']} (extrapolated)", seconds, peaks)
    row(args.many, "chunks", CASES["chunks"], seconds, peaks)


if __name__ == "__main__":
    main()
