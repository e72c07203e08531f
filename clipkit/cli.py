"""The command `clipkit`. What a person can repair is one line and exit code 2; `CLIPKIT_DEBUG=1` shows tracebacks."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from clipkit.errors import ClipkitError, ShownRecord, did_you_mean, one_line

COMMANDS = {
    "try": ("clipkit.commands.try_", "your photos and your words in, pictures out; nothing is trained"),
    "train": ("clipkit.commands.train", "train what a config says"),
    "test": ("clipkit.commands.test", "score a checkpoint, with any labels"),
    "predict": ("clipkit.commands.predict", "images and labels in, pictures and masks out"),
    "label": ("clipkit.commands.label", "photos and words in, a labelled set in COCO, YOLO, VOC or masks out"),
    "browse": ("clipkit.commands.browse", "look at what the data pipeline feeds the model"),
    "precompute": ("clipkit.commands.precompute", "embed the regions of many images with CLIP, once, for distillation"),
    "frames": ("clipkit.commands.frames", "embed the frames of videos and their sentences with CLIP, once"),
    "search": ("clipkit.commands.search", "find the second of a video, or the image, that a text describes"),
    "convert": ("clipkit.commands.convert", "checkpoints of a plugin's original, both ways"),
    "claim": ("clipkit.commands.claim", "run a paper's claim over seeds"),
    "report": ("clipkit.commands.report", "one page of all claims' results"),
    "list": ("clipkit.commands.list", "configs, plugins, commands and models by a word, with time and numbers"),
    "copy": ("clipkit.commands.copy", "a config of one's own on top of an installed one"),
    "version": ("clipkit.commands.version", "versions of clipkit, Python, torch and open_clip"),
    "doctor": ("clipkit.commands.doctor", "what is installed and works here, and what to do about the rest"),
}

# What a message alone explains. Anything else is a defect of clipkit or of a plugin, and keeps its traceback.
_USER_ERRORS = (
    ClipkitError,
    ValueError,
    FileExistsError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)

# Package -> the extra that brings it.
_EXTRAS = {
    **dict.fromkeys(("mmengine", "mmcv", "mmseg", "matplotlib", "scipy", "jinja2"), "seg"),
    "mmdet": "det",
    **dict.fromkeys(("av", "decord"), "media"),
    **dict.fromkeys(("supervision", "pycocotools"), "formats"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        show(_usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        from clipkit import __version__

        print(f"clipkit {__version__}")
        return 0
    return run(argv[0], argv[1:])


def run(command: str, argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand by name, errors as one line. `tools/*.py` are this call."""
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.setLogRecordFactory(ShownRecord)
    try:
        if command not in COMMANDS:
            raise ClipkitError(f'unknown command "{command}"; {did_you_mean(command, COMMANDS)}')
        return import_module(COMMANDS[command][0]).main(argv) or 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (*_USER_ERRORS, ModuleNotFoundError) as error:
        line = _explain_missing(error) if isinstance(error, ModuleNotFoundError) else one_line(error)
        if line is None or os.environ.get("CLIPKIT_DEBUG", "") not in ("", "0"):
            raise
        print(f"error: {line}", file=sys.stderr)
        return 2
    finally:
        _close_process_group()


def show(text: str) -> None:
    """Prints a text whose reader, such as `head`, may close the pipe when it has seen enough."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain_missing(error: ModuleNotFoundError) -> str | None:
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        return None
    return f'this command needs {package}, which is not installed: pip install -e ".[{_EXTRAS[package]}]"'


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "usage: clipkit COMMAND …   (clipkit COMMAND --help says more)\n\ncommands:\n" + "\n".join(lines)


def _close_process_group() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
