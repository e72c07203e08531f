"""A detector whose labels are 1,203 words, LVIS's number: `python benchmarks/detector_labels.py`.

How long it takes to switch between two encoded vocabularies (aim: less than 10 ms), and what the class scores of 1,000
regions cost beside the one matrix product with the text embeddings that nothing can do without. Rows are random;
`--embeddings FILE.npy` (beside it FILE.json with the names) takes real ones.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from _timing import Report, Spread, interleaved, parser, ratio, start

from clipkit.engine.build import prepare_config
from clipkit.engine.registry import MODELS
from clipkit.text import TextEmbeddings, load_embeddings


def random_rows(folder: str, count: int, dim: int = 512) -> Path:
    path = Path(folder) / "rows.npy"
    np.save(path, np.random.default_rng(0).standard_normal((count, dim)).astype(np.float32))
    path.with_suffix(".json").write_text(json.dumps([f"name {i}" for i in range(count)]))
    return path


def build(path: str, classes: list[str]) -> torch.nn.Module:
    """The embedded world's detector with the file's text embeddings."""
    options = {
        "model.text": {"_delete_": True, "path": path},
        "model.variant": "text",
        "model.classes": classes,
        "model.base_classes": classes[:6],
    }
    cfg = prepare_config("vild/vild_tiny_shapes.py", cfg_options=options)
    return MODELS.build(cfg.model)


def main() -> None:
    options = parser(__doc__, rounds=9)
    options.add_argument("--regions", type=int, default=1000, help="of an image (default: 1,000)")
    options.add_argument("--embeddings", help="FILE.npy of text embeddings, with FILE.json")
    args = options.parse_args()
    start(args)
    with tempfile.TemporaryDirectory() as folder:
        path = str(args.embeddings or random_rows(folder, 64 if args.quick else 1203))
        rows = load_embeddings(path)
        model = build(path, list(rows.names[:9])).to(args.device).eval()
    vocabularies = [TextEmbeddings(rows.names, matrix.clone()) for matrix in (rows.matrix, rows.matrix.flip(0))]
    regions = torch.randn(args.regions, rows.dim, device=args.device)
    unit = rows.matrix.to(args.device)

    def switch() -> None:
        for labels in vocabularies:
            model.set_labels(labels)

    switch()
    cases = {
        "switch": switch,
        "scores": lambda: model.classifier.scores(regions),
        "product": lambda: regions @ unit.T,
    }
    with torch.no_grad():
        seconds = interleaved(cases, args.rounds, args.device)
    each = Spread.of([1000 * s / 2 for s in seconds["switch"]])
    product, over = Spread.of([1000 * s for s in seconds["product"]]), ratio(seconds, "scores", "product")
    columns = ["labels", "switching (aim < 10 ms)", "regions", "the product alone", "class scores / product"]
    Report(args, "detector_labels", columns).row(
        f"{len(rows.names):,}", each.text(".2f", " ms"), f"{args.regions:,}", product.text(".2f", " ms"),
        over.text(".2f"), labels=len(rows.names), dim=rows.dim, regions=args.regions, switch_milliseconds=each,
        product_milliseconds=product, scores_over_product=over,
    )  # fmt: skip


if __name__ == "__main__":
    main()
