"""An exported model in onnxruntime over the same module in torch: `python benchmarks/export.py --threads 1`.

Both see the same uint8 pictures and rows of 20 names, resize and normalise included, in one process, in turns.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from _timing import Report, Spread, interleaved, parser, ratio, start

from clipkit.export import About, ClassifyGraph, DenseGraph, OnnxFile, clip_graph, export_onnx
from clipkit.export.graphs import coloured

NAMES = 20


def main() -> None:
    options = parser(__doc__, rounds=9)
    options.add_argument("--model", default="ViT-B-32-quickgelu", help="open_clip name, random weights")
    options.add_argument("--batch", type=int, default=8, help="pictures in one pass (default: 8)")
    args = options.parse_args()
    start(args)
    if args.device != "cpu":
        raise SystemExit("--device: onnxruntime is measured on the CPU here")
    name = "tiny_clip" if args.quick else args.model
    report = Report(args, "export", ("kind", "difference", "same label", "torch, ms", "onnxruntime, ms", "ratio"))
    with tempfile.TemporaryDirectory() as folder:
        for kind, variant in (("tower", {}), ("dense map", {"dense": "vanilla"})):
            graph, about = clip_graph({"name": name, **variant})
            measure(report, args, kind, name, graph, about, Path(folder) / f"{kind}.onnx")


def measure(
    report: Report, args, kind: str, name: str, graph: ClassifyGraph | DenseGraph, about: About, path: Path
) -> None:
    """One row: how far the file is from torch, and what both take."""
    check = export_onnx(graph, about, path)
    file = OnnxFile(path, threads=args.threads)
    high, wide = about.size
    pictures = coloured(args.batch, 2 * high, 2 * wide, 0)
    rows = torch.nn.functional.normalize(torch.randn(NAMES, graph.dim), dim=1)
    given = {"pictures": pictures.numpy(), "text": rows.numpy()}

    def in_torch() -> None:
        with torch.inference_mode():
            graph(pictures, rows)

    found = interleaved({"torch": in_torch, "onnx": lambda: file.run(**given)}, args.rounds, args.device)
    times = {key: Spread.of([1000 * one for one in values]) for key, values in found.items()}
    over = ratio(found, "onnx", "torch")
    report.row(
        kind, f"{check.difference:.1e}", f"{100 * check.agreement:.2f} %", times["torch"].text(".1f"),
        times["onnx"].text(".1f"), over.text(), kind=kind, model=name, batch=args.batch, ratio=over,
        torch_ms=times["torch"], onnx_ms=times["onnx"], difference=check.difference, agreement=check.agreement,
    )  # fmt: skip


if __name__ == "__main__":
    main()
