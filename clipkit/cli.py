"""The command `clipkit`. What a person can repair is one line and exit code 2; `CLIPKIT_DEBUG=1` shows tracebacks."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

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
    "embed": (
        "clipkit.commands.embed",
        "embed pictures, films and texts in any number, from archives, tables, lists, clouds",
    ),
    "search": ("clipkit.commands.search", "find the image, or the second of a video, by words or by another picture"),
    "draw": ("clipkit.commands.draw", "a photo or words in, a drawing of a few strokes out: SVG, PNG and film"),
    "edit": (
        "clipkit.commands.edit",
        "a photo changed by words, until CLIP sees the one instead of the other: PNG and film",
    ),
    "bundle": ("clipkit.commands.bundle", "a trained model as a folder without code, to share; also to Hugging Face"),
    "demo": ("clipkit.commands.demo", "a page in the browser: pictures and words in, what the models say out"),
    "export": ("clipkit.commands.export", "a trained model or a CLIP as one ONNX file, checked against torch"),
    "convert": ("clipkit.commands.convert", "checkpoints of a plugin's original, both ways"),
    "claim": ("clipkit.commands.claim", "run a paper's claim over seeds"),
    "report": ("clipkit.commands.report", "one page of all claims' results"),
    "list": ("clipkit.commands.list", "configs, plugins, commands and models by a word, with time and numbers"),
    "copy": ("clipkit.commands.copy", "a config of one's own on top of an installed one"),
    "version": ("clipkit.commands.version", "versions of clipkit, Python, torch and open_clip"),
    "doctor": ("clipkit.commands.doctor", "what is installed and works here, and what to do about the rest"),
}

# What a message alone explains; see `clipkit.explain` for the rest. What is left there is a defect, with its traceback.
_USER_ERRORS = (ClipkitError, ValueError, OSError)

# Package -> the extra that brings it.
_EXTRAS = {
    **dict.fromkeys(("mmengine", "mmcv", "mmseg", "matplotlib", "scipy", "jinja2"), "seg"),
    "mmdet": "det",
    **dict.fromkeys(("av", "decord"), "media"),
    "pyarrow": "parquet",
    "ray": "ray",
    **dict.fromkeys(("supervision", "pycocotools"), "formats"),
    **dict.fromkeys(("gradio", "fastapi", "uvicorn"), "demo"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and argv[0] == "--version":
        return _guarded(_show_version)
    if not argv or argv[0] in ("-h", "--help", "help"):
        return _guarded(_show_usage) or (0 if argv else 2)
    return run(argv[0], argv[1:])


def run(command: str, argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand by name, errors as one line. `tools/*.py` are this call."""
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.setLogRecordFactory(ShownRecord)

    def call() -> int | None:
        if command not in COMMANDS:
            raise ClipkitError(f'unknown command "{command}"; {did_you_mean(command, COMMANDS, limit=len(COMMANDS))}')
        return import_module(COMMANDS[command][0]).main(argv)

    return _guarded(call)


def _guarded(call: Callable[[], int | None]) -> int:
    try:
        with _listening():
            code = call() or 0
            sys.stdout.flush()
            return code
    except (KeyboardInterrupt, Exception) as error:
        _hear_no_more_of_workers()
        return _end(error)
    finally:
        with contextlib.suppress(RuntimeError):  # the other processes may be gone
            _close_process_group()


def _end(error: BaseException) -> int:
    """Says what ended a command, and with which code; a defect is raised again."""
    from clipkit.explain import explain, was_interrupted

    if was_interrupted(error):
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C, during the clean-up, is no traceback either
        print("stopped", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT)
    if os.environ.get("CLIPKIT_DEBUG", "") not in ("", "0"):
        raise error
    _drop_output()
    line = _explain_missing(error) if isinstance(error, ModuleNotFoundError) else explain(error)
    if line is None:
        error.add_note("This is a defect of clipkit or of a plugin, not of your files: please report these lines.")
        raise error
    print(f"error: {line}", file=sys.stderr)
    return 2


class _Terminated(KeyboardInterrupt):
    """SIGTERM: batch systems and containers send it before they kill."""


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    """Makes SIGTERM end a command as Ctrl-C does, leaves both to the parent in forked workers, and lets a log that
    cannot be written say so in one line.

    Of several processes (torchrun) each is left to the system: one that waits for the others in a library's code would
    not come to hear of it."""
    global _is_running
    setattr(logging.Handler, "handleError", _log_is_lost)  # noqa: B010 - mypy knows no other way
    alone = os.environ.get("WORLD_SIZE", "1") == "1" and threading.current_thread() is threading.main_thread()
    mine = alone and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if mine:
        signal.signal(signal.SIGTERM, _terminate)
    _is_running = True
    try:
        yield
    finally:
        _is_running = False
        if mine:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


_is_running = False
_lost_logs: set[str] = set()


def _terminate(number: int, frame: Any) -> None:
    _hear_no_more_of_workers()
    raise _Terminated


def _hear_no_more_of_workers() -> None:
    """torch's handler raises for each worker that ends, also while the command itself is ending."""
    if hasattr(signal, "SIGCHLD"):
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _leave_signals_to_the_parent() -> None:
    """Ctrl-C goes to all processes of a terminal; workers end when their parent does, without a word."""
    if _is_running:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if callable(signal.getsignal(signal.SIGTERM)):  # a handler of the parent's, such as the one above
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_signals_to_the_parent)


def _log_is_lost(handler: logging.Handler, record: logging.LogRecord) -> None:
    name = str(getattr(handler, "baseFilename", "the log on the terminal"))
    if name not in _lost_logs:
        _lost_logs.add(name)
        why = one_line(sys.exc_info()[1] or "")
        with contextlib.suppress(OSError):
            print(f"warning: {name}: cannot be written ({why}); what it was to hold is lost", file=sys.stderr)


def _drop_output() -> None:
    """Throws away what standard output does not take: Python would try again at its end, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def _show_version() -> None:
    from clipkit import __version__

    show(f"clipkit {__version__}")


def _show_usage() -> None:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    show("usage: clipkit COMMAND …   (clipkit COMMAND --help says more)\n\ncommands:\n" + "\n".join(lines))


def _close_process_group() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
