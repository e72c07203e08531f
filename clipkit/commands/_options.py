"""Options that several commands have, each as a parser for argparse's `parents=`, and what reads them.

Nothing heavy is imported before a command runs, so what the library calls by a name is written here once more;
`tests/commands/test_options.py` compares.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LAUNCHERS = ("auto", "none", "pytorch", "slurm", "mpi")
BACKENDS = ("decord", "pyav", "torchcodec", "opencv")
ON_BAD = ("raise", "skip")
CLIP, TAG = "ViT-B-16-quickgelu", "openai"  # of clipkit.predict.dense


def config() -> argparse.ArgumentParser:
    """The positional `config`, and `--cfg-options`."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "config",
        help="a config file, or the name of an installed one: lseg/lseg_tiny_shapes.py (`clipkit list configs`)",
    )
    add_cfg_options(options)
    return options


def add_cfg_options(options: argparse.ArgumentParser) -> None:
    """`--cfg-options`."""
    options.add_argument(
        "--cfg-options", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="change the config, e.g. train_cfg.max_iters=100 train_dataloader.batch_size=8; it takes all "
        "words that follow, so write it last",
    )  # fmt: skip


def checkpoint() -> argparse.ArgumentParser:
    """The positional `checkpoint`, after `config`."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "checkpoint",
        help="what `clipkit train` wrote: its folder (the newest in it) or a file in it; `none` for a model that "
        "trains nothing",
    )
    return options


def add_clip(options: Any) -> None:
    """`--clip` of the commands that need no training; `clip_and_tag` reads it."""
    options.add_argument(
        "--clip",
        default=f"{CLIP}:{TAG}",
        metavar="NAME[:TAG]",
        help="any of `clipkit list models`, e.g. ViT-L-14:openai; local-dir:FOLDER; NAME:weights.pt; or tiny_clip, "
        f"which comes with the package and knows a small world of shapes (default: {CLIP}:{TAG}, fetched once)",
    )


def add_batch_size(options: argparse.ArgumentParser, what: str) -> None:
    """`--batch-size`; `what` is counted."""
    options.add_argument(
        "--batch-size", type=_positive, default=8, metavar="N",
        help=f"{what} in one pass of the network; fewer take less memory (default: 8)",
    )  # fmt: skip


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text}")
    return int(text)


def clip_and_tag(text: str) -> tuple[str, str | None]:
    """Name, and tag or file or None."""
    if text.startswith(("local-dir:", "hf-hub:")):
        return text, None
    name, _, tag = text.partition(":")
    return name, tag or None


def runner() -> argparse.ArgumentParser:
    """What training and testing share."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--work-dir", help="where logs and checkpoints go (default: work_dirs/<config name>)")
    options.add_argument(
        "--launcher",
        default="auto",
        choices=LAUNCHERS,
        help="how the processes of several GPUs find each other (default: auto, which sees torchrun by itself)",
    )
    return options


def labels(purpose: str) -> argparse.ArgumentParser:
    """Options that say labels; `read_labels` reads them."""
    options = argparse.ArgumentParser(add_help=False)
    which = options.add_mutually_exclusive_group()
    which.add_argument("--labels", help=f'{purpose}: "cat, dog; puppy, grass" (; before a synonym)')
    which.add_argument(
        "--labels-file",
        metavar="FILE",
        help="the same from a file: one class a line, `name; synonym; …`; # begins a comment; or JSON",
    )
    options.add_argument(
        "--separator",
        help="what stands between a line's words, where the labels file is another project's: ', ' in SCLIP's, ',' in "
        "ClearCLIP's, '; ' in ProxyCLIP's",
    )
    return options


def read_labels(args: argparse.Namespace) -> Any:
    """A `Vocabulary` of the options of `labels`; None if there are no labels among them."""
    from clipkit.errors import ClipkitError
    from clipkit.text import Vocabulary
    from clipkit.text.label_file import refuse_path

    if args.labels_file is not None:
        return Vocabulary.from_file(args.labels_file, args.separator)
    if args.separator is not None:
        raise ClipkitError("--separator says how --labels-file is written: give that too")
    if args.labels is None:
        return None
    refuse_path(args.labels)
    return Vocabulary.parse(args.labels)


def in_own_prompts(model: Any, vocabulary: Any) -> Any:
    """Labels from a command line hold words only: they take the prompts of a model that has some of its own."""
    return model.own_prompts(vocabulary) if hasattr(model, "own_prompts") else vocabulary


def embedding(what: str) -> argparse.ArgumentParser:
    """What the commands share that fill a store; `what` is 'a video', 'an image'."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--out", required=True, metavar="DIR", help="the store: a folder that holds nothing else")
    options.add_argument("--clip", required=True, metavar="NAME", help="ViT-B-32, local-dir:FOLDER, …, or tiny_clip")
    options.add_argument("--pretrained", metavar="TAG|FILE", help="its weights: open_clip's tag (openai), or a file")
    options.add_argument(
        "--precision",
        default="auto",
        help="what CLIP computes in: fp32, bf16, fp16, or auto, the fastest of them here (default)",
    )
    options.add_argument("--workers", type=int, default=4, help="files that are read side by side (default: 4)")
    options.add_argument(
        "--on-bad", default="skip", choices=ON_BAD,
        help=f"{what} that cannot be read: skip, name it at the end, exit with 1 (default), or raise at once",
    )  # fmt: skip
    options.add_argument("--broken", choices=("skip", "stop"), help=argparse.SUPPRESS)  # its name until 1.0
    options.add_argument(
        "--ray", metavar="ADDRESS",
        help="let workers of this Ray cluster do it, one a GPU, or CPU where there is none; auto: the cluster "
        "of this machine (extra `ray`)",
    )  # fmt: skip
    return options


def device() -> argparse.ArgumentParser:
    """`--device`."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--device", help="cpu, cuda, mps (default: a GPU if there is one)")
    return options


def videos() -> argparse.ArgumentParser:
    """How video files are read; `--backend` is None unless it is given."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--backend",
        choices=BACKENDS,
        help="library that reads videos (default: decord where it is installed, else pyav)",
    )
    options.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        help="seconds without a frame after which a video is given up (default: 30)",
    )
    return options


def refuse_to_replace(target: Path, source: str) -> None:
    """Raises ClipkitError where a result would take the place of what it is made of."""
    from clipkit.errors import ClipkitError

    if target.exists() and os.path.exists(source) and target.samefile(source):
        raise ClipkitError(f"{source}: the result would replace it; give another --out")


def read_picture(path: str, size: int, shape: Sequence[int] | None = None, least: int = 8) -> Any:
    """`(1, 3, H, W)` in [0, 1], the longer side `size` pixels, or of the shape that is given.

    Raises:
        ClipkitError: its shorter side would have less than `least` pixels.
    """
    import torch
    from torch.nn.functional import interpolate

    from clipkit.data.images import read_image
    from clipkit.errors import ClipkitError

    picture = torch.tensor(read_image(path)).permute(2, 0, 1)[None] / 255
    height, width = picture.shape[-2:]
    scale = size / max(height, width)
    wanted = list(shape or (max(1, round(height * scale)), max(1, round(width * scale))))
    if min(wanted) < least:
        raise ClipkitError(
            f"{path}: is too narrow: {wanted[0]}x{wanted[1]} pixels where the longer side has {size}, and both need "
            f"{least}; crop it, or give a larger --size"
        )
    return interpolate(picture, wanted, mode="bilinear", antialias=True).clamp(0, 1)
