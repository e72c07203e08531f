"""GLIP asked for 1,203 names, LVIS's number, in 30 prompts: `python benchmarks/glip_names.py`.

One prediction with all prompts, where the image side runs once (the backbone for a deep head, the tower too for a
shallow one), over one whole forward pass a prompt. The aim for shallow is 5 times; deep can gain no more than
(V + H) / (V / 30 + H), with V the image side's time and H a prompt's, and the aim is 90 % of that.
"""

from __future__ import annotations

import torch
from _timing import Report, Spread, interleaved, parser, ratio, start
from mmdet.structures import DetDataSample
from mmengine.registry import DefaultScope

from clipkit.detection.prompts import list_prompt
from clipkit.engine import load_plugins
from clipkit.engine.build import prepare_config
from clipkit.engine.registry import MODELS


def build(deep: bool) -> torch.nn.Module:
    load_plugins("glip")
    cfg = prepare_config(f"glip/glip_tiny_shapes{'_deep' if deep else ''}.py", for_training=False)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(cfg.model).eval()


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--size", type=int, default=512, help="of the square picture (default: 512)")
    options.add_argument("--heads", nargs="+", choices=("shallow", "deep"), default=("shallow", "deep"))
    args = options.parse_args()
    start(args)
    names, parts = (60, 3) if args.quick else (1203, 30)
    size = 64 if args.quick else args.size
    report = Report(args, "glip_names", ["head", "one prediction over whole passes", "at most", "share of it"])
    for deep in (head == "deep" for head in args.heads):
        model = build(deep).to(args.device)
        step = -(-names // parts)
        groups = [list(range(i, min(i + step, names))) for i in range(0, names, step)]
        chunks = [(list_prompt([f"thing {i}" for i in group]), group) for group in groups]
        model.label_names = tuple(f"thing {i}" for i in range(names))
        inputs = torch.rand(1, 3, size, size, device=args.device)
        meta = {"img_shape": (size, size), "ori_shape": (size, size), "scale_factor": (1.0, 1.0)}

        def predict(chosen: list, model=model, inputs=inputs, meta=meta) -> None:
            model.chunks = chosen
            model.predict(inputs, [DetDataSample(metainfo=meta)])

        def each(chunks=chunks, predict=predict) -> None:
            for chunk in chunks:
                predict([chunk])

        with torch.no_grad():
            cases = {
                "together": lambda predict=predict, chunks=chunks: predict(chunks),
                "each": each,
                "none": lambda predict=predict: predict([]),  # the image side alone
            }
            seconds = interleaved(cases, args.rounds, args.device)
        gain = ratio(seconds, "each", "together")
        vision = Spread.of(seconds["none"]).median
        head = max(Spread.of(seconds["each"]).median / parts - vision, 0.0)  # the first prompts have fewer tokens
        most = (vision + head) / (vision / parts + head)
        share = gain.median / most
        report.row(
            "deep" if deep else "shallow", gain.text(".2f"), f"{most:.2f}", f"{100 * share:.0f} %", deep=deep,
            names=names, prompts=parts, size=size, gain=gain, image_seconds=vision, prompt_seconds=head, limit=most,
        )  # fmt: skip


if __name__ == "__main__":
    main()
