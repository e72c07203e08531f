"""What FrozenCLIP serves of every architecture that open_clip lists: `python -m clipkit.backbone.models_table`.

Models are built on the meta device, so no weight is allocated or downloaded, and every entry of the table was run.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch

from clipkit.backbone.frozen import FrozenCLIP

__all__ = ["Outcome", "check_model", "markdown", "pretrained_tags"]

COMMAND = "python -m clipkit.backbone.models_table --out docs/models.md"


@dataclass(frozen=True)
class Outcome:
    """One row. `image`, `text`, `any_size`, `dense` say whether it is served; `note` holds the refusals' sentences."""

    name: str
    tower: str
    embed_dim: int
    size: tuple[int, int]
    image: bool
    text: bool
    any_size: bool
    dense: bool
    note: str


def check_model(name: str) -> Outcome:
    """Builds one architecture on the meta device and runs all that FrozenCLIP offers.

    A refusal is a ValueError of one line; any other exception is a crash of FrozenCLIP and passes through.
    """
    with _offline(), torch.device("meta"):
        clip = FrozenCLIP.from_pretrained(name, device="meta")
    config = open_clip.get_model_config(name)
    notes: list[str] = []

    def served(what: str, run: Callable[[], torch.Tensor], shape: tuple[int, ...] = ()) -> bool:
        try:
            result = run()
        except ValueError as error:
            reason = str(error)
            if "\n" in reason:
                raise RuntimeError(f"{name}: the refusal of {what} has more than one line: {reason}") from error
            notes.append(f"{what}: {_without_name(reason, name)}")
            return False
        expected = (1, clip.embed_dim, *shape)
        if tuple(result.shape)[: len(expected)] != expected:
            raise RuntimeError(f"{name}: {what} has shape {tuple(result.shape)}, expected {expected}")
        return True

    height, width = clip.image_size
    step = clip.patch_size or 32
    native = _pixels(height, width)
    other = _pixels(height + 2 * step, width + 4 * step)
    ids = torch.ones(1, clip.context_length, dtype=torch.long, device="meta")
    image = served("image", lambda: clip.encode_image(native))
    text = served("text", lambda: clip.encode_tokens(ids))
    if tokenizer := config["text_cfg"].get("hf_tokenizer_name"):
        notes.append(f"tokenizer: Hugging Face's `{tokenizer}`, or pass `tokenizer=`")
    any_size = served("any size", lambda: clip.encode_image(other))
    dense = served("dense", lambda: clip.features(other if any_size else native).dense)
    visual = clip.model.visual
    tower = type(getattr(visual, "trunk", visual)).__name__
    if hasattr(visual, "trunk"):
        tower = f"timm {tower}"
    return Outcome(name, tower, clip.embed_dim, (height, width), image, text, any_size, dense, "; ".join(notes))


def pretrained_tags() -> dict[str, list[str]]:
    """Every architecture, and the tags of the weights that open_clip knows for it."""
    return {name: open_clip.list_pretrained_tags_by_model(name) for name in open_clip.list_models()}


def _pixels(height: int, width: int) -> torch.Tensor:
    return torch.zeros(1, 3, height, width, device="meta")


def _without_name(reason: str, name: str) -> str:
    """The row names the model already."""
    reason = reason.removeprefix(f"'{name}' ").removeprefix("has no dense map: ").removeprefix("has ")
    return reason.split(". features(", 1)[0]


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Nothing is asked of Hugging Face: the table is about what works without a download."""
    try:
        from huggingface_hub import constants
    except ImportError:
        yield
        return
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def row(outcome: Outcome) -> str:
    """One line of the table."""

    def mark(yes: bool) -> str:
        return "yes" if yes else "no"

    cells: list[Any] = [outcome.name, outcome.tower, outcome.embed_dim, f"{outcome.size[0]}×{outcome.size[1]}"]
    cells += [mark(outcome.image), mark(outcome.text), mark(outcome.any_size), mark(outcome.dense)]
    cells.append(outcome.note.replace("|", "\\|"))
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def markdown(outcomes: Iterable[Outcome]) -> str:
    """The whole page."""
    rows = list(outcomes)
    count = {key: sum(getattr(o, key) for o in rows) for key in ("image", "text", "any_size", "dense")}
    theirs, version = sum(o.name != "tiny-shapes" for o in rows), open_clip.__version__
    head = f"""# Models

What `FrozenCLIP` serves of each of the {theirs} architectures of open_clip {version} and of the shipped tiny-shapes:
images {count["image"]}, images of any size {count["any_size"]}, dense maps {count["dense"]}, text without a download of
its tower {count["text"]}.

- *image*: `encode_image` at the native size; *text*: `encode_tokens`;
- *any size*: `encode_image` at another, not square size;
- *dense*: `features(...).dense`, at that size too where *any size* says yes.

Every "no" is a `ValueError` whose sentence the last column gives; the rest of the model works.

Written by `{COMMAND}`, which builds each model on the meta device and runs it; weights are not needed.

| model | image tower | embed dim | native size | image | text | any size | dense | note |
|---|---|---|---|---|---|---|---|---|
"""
    return head + "\n".join(row(outcome) for outcome in rows) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Checks all models, or the ones named, and prints or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="names; default: all of open_clip.list_models()")
    parser.add_argument("--out", type=Path, help="write the page here instead of printing it")
    args = parser.parse_args(argv)
    outcomes = []
    for name in args.models or open_clip.list_models():
        outcomes.append(check_model(name))
        print(row(outcomes[-1]), file=sys.stderr, flush=True)
    page = markdown(outcomes)
    if args.out:
        args.out.write_text(page, encoding="utf-8")
    else:
        print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
