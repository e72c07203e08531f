"""`clipkit export WORK_DIR --format onnx --out model.onnx`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipkit.commands import _options

FORMATS = ("onnx", "pt2")
PRECISIONS = ("fp32", "fp16", "int8")


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit export`."""
    parser = argparse.ArgumentParser(
        prog="clipkit export",
        usage="clipkit export [options] WORK_DIR\n"
        "       clipkit export [options] CONFIG CHECKPOINT\n"
        "       clipkit export [options] --clip NAME[:TAG] [--dense VARIANT]",
        description="Writes a trained model, or a bare CLIP, as one file for onnxruntime: uint8 RGB pictures and rows "
        "of words in, scores out. Other labels need no new file: `clipkit predict model.onnx photo --labels …`. The "
        "file is compared with torch before it is written.",
        parents=[_options.labels("labels that are frozen in the file; without, any can be given to it")],
    )
    parser.add_argument("config", nargs="?", metavar="WORK_DIR", help="what `clipkit train` filled; or a config")
    parser.add_argument("checkpoint", nargs="?", help="after a config: a file, a work folder, or `none`")
    parser.add_argument("--clip", metavar="NAME[:TAG]", help="a CLIP as it is, e.g. tiny_clip, ViT-B-32:openai")
    parser.add_argument(
        "--dense", metavar="VARIANT",
        help="of --clip: its dense map (maskclip, sclip, clearclip, naclip, vanilla), which segments; without, "
        "pictures are named",
    )  # fmt: skip
    parser.add_argument("--format", default="onnx", choices=FORMATS, help="default: onnx; pt2 is torch.export's own")
    parser.add_argument(
        "--precision", default="fp32", choices=PRECISIONS,
        help="of the weights in an ONNX file; what fp16 and int8 lose is printed (default: fp32)",
    )  # fmt: skip
    parser.add_argument(
        "--size", metavar="N|HxW|any",
        help="pixels to which pictures are resized in the graph; any: they come with sides that are multiples of the "
        "stride (default: the model's own size or window)",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="default: model.onnx in the work folder, or here")
    _options.add_cfg_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exports, checks and says how far the file is from torch; returns 0."""
    args = parser().parse_args(argv)
    from clipkit.errors import ClipkitError
    from clipkit.export import Frozen, clip_graph, export_onnx, export_pt2, model_graph

    if (args.clip is None) == (args.config is None):
        raise ClipkitError("give a work folder (or a config and a checkpoint), or --clip NAME[:TAG]")
    size = _size(args.size)
    labels = _options.read_labels(args)
    model, folder = None, Path()
    if args.clip is not None:
        name, tag = _options.clip_and_tag(args.clip)
        options = {"name": name, "pretrained": tag, "dense": args.dense}
        graph, about = clip_graph({key: value for key, value in options.items() if value is not None}, size)
    else:
        if args.dense is not None:
            raise ClipkitError("--dense is of --clip; a dense_clip config says its variant itself")
        model, cfg, folder = _load(args)
        graph, about = model_graph(model, cfg, size)
    if labels is not None:
        own = _encoded(model, about, labels)
        graph, about.frozen = Frozen(graph, own.matrix), True
        about.keep(own)
    about.precision = args.precision
    path = Path(args.out or folder / f"model.{args.format}")
    found = (export_onnx if args.format == "onnx" else export_pt2)(graph, about, path)
    size_of = f"{path.stat().st_size / 2**20:.2f} MiB, {about.precision}"
    print(f"{path} ({size_of}): {', '.join(graph.inputs)} in, {_shape(about)}; {found}")
    return 0


def _load(args: argparse.Namespace) -> tuple[Any, Any, Path]:
    """The model, its config and the folder where its file goes."""
    from clipkit.engine.checkpoint import given_checkpoint
    from clipkit.engine.config import parse_options
    from clipkit.errors import ClipkitError
    from clipkit.predict.predictor import load_model

    is_folder = Path(args.config).is_dir()
    if is_folder == (args.checkpoint is not None):
        raise ClipkitError("a work folder stands alone, and after a config comes a checkpoint (or `none`)")
    checkpoint = None if is_folder else given_checkpoint(args.checkpoint)
    model, cfg = load_model(args.config, checkpoint, "cpu", parse_options(args.cfg_options))
    return model, cfg, Path(args.config) if is_folder else Path()


def _encoded(model: Any, about: Any, labels: Any) -> Any:
    """Rows of frozen labels: by the model's own text where it has one, else by the CLIP."""
    from clipkit.export.labels import NamedText, prompted

    if hasattr(model, "encode_labels"):
        return model.encode_labels(model.own_prompts(labels))
    return NamedText(about.text, "this model").encode(prompted(labels, about.text))


def _size(text: str | None) -> Any:
    """`--size` as `clipkit.export.kinds.Size`."""
    from clipkit.errors import ClipkitError

    if text in (None, "any"):
        return text
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side) <= 8192 for side in sides):
        raise ClipkitError(f"--size {text}: is a number of pixels, HEIGHTxWIDTH, or any")
    return int(sides[0]), int(sides[-1])


def _shape(about: Any) -> str:
    if about.size is None:
        return f"pictures with sides that are multiples of {about.multiple}"
    place = "in arrays of" if about.kind == "detect" else "resized to"
    return f"pictures {place} {about.size[0]}x{about.size[1]}"
