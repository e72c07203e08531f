"""`clipkit predict WORK_DIR INPUT… --labels "…" --out DIR`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipkit.commands import _options


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit predict`."""
    parser = argparse.ArgumentParser(
        prog="clipkit predict",
        usage="clipkit predict [options] WORK_DIR INPUT [INPUT ...]\n"
        "       clipkit predict [options] CONFIG CHECKPOINT INPUT [INPUT ...]\n"
        "       clipkit predict [options] MODEL.onnx INPUT [INPUT ...]",
        description="Segment or detect with any labels: a picture with names and a JSON for each image; a segmenter "
        "also writes an indexed PNG, a detector one file of all detections in COCO's format. A video gives a film. "
        "A model of questions (vqa/...) answers those of --ask, and shows where it looked; one of clouds of points "
        "(pointclip/...) names files of them, and shows its views; one of sounds (audioclip/...) names what is "
        "heard in sounds and films, and when.",
        parents=[_options.labels("what to look for, instead of what was trained"), _options.device()],
    )
    parser.add_argument(
        "config", metavar="WORK_DIR",
        help="the folder that `clipkit train` filled; a bundle, its folder or hf-hub:OWNER/NAME; what `clipkit export` "
        "wrote; or a config, as for `clipkit test`",
    )  # fmt: skip
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT",
        help="photos, videos (extra `media`), folders of them, http(s) addresses of photos; after a config first "
        "the checkpoint: a file, a work folder, or `none`",
    )  # fmt: skip
    _options.add_cfg_options(parser)
    parser.add_argument(
        "--sentence", metavar="TEXT",
        help="of a model that grounds (GLIP), in place of labels: its phrases, guessed or in brackets, '[a man] left "
        "of [the red car]', become the labels, and the picture shows the sentence in the colours of its boxes",
    )  # fmt: skip
    parser.add_argument(
        "--ask", action="append", metavar="QUESTION", help="a question about each photo; may be given again"
    )
    parser.add_argument("--out", default="predictions", metavar="DIR", help="where results go (default: predictions)")
    parser.add_argument("--beside", action="store_true", help="show the photo beside its result")
    parser.add_argument(
        "--min-score", type=float, default=0.3, metavar="S",
        help="of a detector: draw what is at least so sure, 0 to 1 (default: 0.3)",
    )  # fmt: skip
    _options.add_batch_size(parser, "photos of equal size, or frames,")
    parser.add_argument("--fps", type=float, metavar="N", help="frames a second of a video (default: all)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Predicts; returns 0, or 1 when some images could not be used."""
    args = parser().parse_args(argv)
    from clipkit.engine.config import parse_options
    from clipkit.errors import ClipkitError
    from clipkit.predict.answerer import Answerer
    from clipkit.predict.files import film_of
    from clipkit.predict.inputs import is_video, list_inputs
    from clipkit.predict.predict_files import predict_files
    from clipkit.predict.predictor import open_predictor

    checkpoint, inputs = _split(args.config, args.inputs)
    sources = list_inputs(inputs)
    labels = _options.read_labels(args)
    if args.ask and labels is not None:
        raise ClipkitError("--ask and --labels are for models of different kinds: give one of them")
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    options = parse_options(args.cfg_options)
    if _is_onnx(args.config):
        from clipkit.export import open_onnx

        if options:
            raise ClipkitError(f"{args.config}: has no config: leave --cfg-options out")
        predictor, files_of = open_onnx(args.config, args.device)
    else:
        predictor, files_of = open_predictor(args.config, checkpoint, args.device, options)
    if files_of is None:
        raise ClipkitError(f"{args.config}: {type(predictor).__name__} writes no files: use `clipkit test`, or Python")
    if args.ask:
        if not isinstance(predictor, Answerer):
            raise ClipkitError(f"{args.config}: {type(predictor).__name__} answers no questions: leave --ask out")
        labels = args.ask
    elif labels is not None:
        labels = _options.in_own_prompts(predictor.model, labels)
    if args.sentence is not None:
        labels = _sentence(predictor.model, args.sentence, labels)
    names = predictor.set_labels(labels)
    writer = files_of(predictor, labels, out, args.min_score)
    writer.beside = args.beside

    def film(source: str | Path, target: Path) -> str:
        options = args.fps, args.beside, args.min_score, args.batch_size
        return film_of(predictor, source, target, labels, *options)

    bad = predict_files(predictor, writer, sources, labels, out, film, args.batch_size)
    what = "files" if any(map(is_video, sources)) else "images"
    asked = "questions" if args.ask else "labels"
    print(f"{len(sources) - bad} of {len(sources)} {what}, {len(names)} {asked}, results in {out}")
    return 1 if bad else 0


def _sentence(model: Any, text: str, labels: Any) -> Any:
    """The prompt of `--sentence`, which stands for labels."""
    from clipkit.errors import ClipkitError

    if labels is not None:
        raise ClipkitError("labels and --sentence: give one of them")
    if not hasattr(model, "read_sentence"):
        raise ClipkitError(f"{type(model).__name__} takes names, no sentence: use --labels")
    return model.read_sentence(text)


def _split(config: str, inputs: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The checkpoint, None for a work folder's or bundle's own or for none, and the inputs."""
    from clipkit.bundle import is_bundle
    from clipkit.engine.checkpoint import given_checkpoint
    from clipkit.errors import ClipkitError

    if Path(config).is_dir() or is_bundle(config) or _is_onnx(config):
        return None, inputs
    if len(inputs) < 2:
        raise ClipkitError(f"{config} is no work folder: after a config come a checkpoint (or `none`) and images")
    return given_checkpoint(inputs[0]), inputs[1:]


def _is_onnx(config: str) -> bool:
    """Whether this is what `clipkit export` writes, by its ending."""
    return Path(config).suffix.lower() == ".onnx"
