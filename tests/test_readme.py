"""What README shows: its Python runs, its commands name configs, options and files that exist."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import torch

from clipkit import FrozenCLIP
from clipkit.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", *(f"plugins/{name}/README.md" for name in ("clip", "clip4clip", "lseg", "vild")))


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    fenced = re.findall(r"```(\w*)\n(.*?)```", text, re.S)  # in pairs: an end is no beginning
    return [re.sub(r"^  ", "", block, flags=re.M) for kind, block in fenced if kind == language]


def commands() -> list[list[str]]:
    lines = [line for page in PAGES for kind in ("bash", "") for block in blocks(page, kind) for line in joined(block)]
    return [shlex.split(line[line.index("clipkit ") :], comments=True) for line in lines if "clipkit " in line]


def joined(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


def test_python_runs(monkeypatch):
    random_weights = FrozenCLIP.from_pretrained("tiny-shapes")
    monkeypatch.setattr(FrozenCLIP, "from_pretrained", lambda *_names: random_weights)
    student = torch.nn.Linear(8, random_weights.embed_dim)
    names = {
        "images": torch.rand(3, 3, 64, 64),
        "boxes": [torch.tensor([[4.0, 4.0, 40.0, 30.0]])] * 3,
        "backbone": torch.nn.Conv2d(3, 256, 8, 8),
        "student_embeddings": student(torch.rand(3, 8)),
        "image_embeddings": student(torch.rand(3, 8)),
        "text_embeddings": student(torch.rand(3, 8)),
        "optimizer": torch.optim.SGD(student.parameters(), 0.1),
    }
    found = blocks("README.md", "python")
    assert len(found) == 3
    for block in found:
        exec(block, names)
    assert names["features"].shape == (3, 256, 8, 8) and names["loss"].isfinite()
    assert student.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words[:3]))
def test_commands_exist(words):
    pytest.importorskip("mmseg")
    from clipkit.engine.build import prepare_config
    from clipkit.engine.config import parse_options

    command = words[1]
    assert command in COMMANDS
    args = import_module(COMMANDS[command][0]).parser().parse_args(words[2:])
    if hasattr(args, "config") and args.config.endswith(".py"):  # `predict` takes a work folder, too
        prepare_config(args.config, cfg_options=parse_options(args.cfg_options))
    if command == "predict":
        inputs = args.inputs[1:] if args.config.endswith(".py") else args.inputs  # after the checkpoint
        assert all((ROOT / file).is_file() for file in inputs)


def test_links_lead_somewhere():
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            if not link.startswith("docs/images/"):
                assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"
