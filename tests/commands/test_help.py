"""`clipkit X --help` imports nothing heavy, for every command: a person who asks what there is does not wait."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipkit.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
LIGHT = """
import contextlib, io, json, sys
from clipkit.cli import main
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    try:
        code = main(sys.argv[1:])
    except SystemExit as end:  # argparse's, after --help
        code = end.code
heavy = [name for name in ("torch", "numpy", "mmengine", "open_clip", "scipy", "matplotlib") if name in sys.modules]
print(json.dumps([code, heavy, printed.getvalue()]))
"""


def light(*arguments):
    """What a command line prints, after a look at what it imported."""
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    code, heavy, printed = json.loads(done.stdout)
    assert code == 0 and heavy == []
    return printed


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command):
    assert f"usage: clipkit {command}" in light(command, "--help")


@pytest.mark.parametrize(
    "arguments",
    [["search", "index", "--help"], ["search", "query", "--help"], ["search", "compress", "--help"], ["--help"]],
)
def test_other_helps_too(arguments):
    assert "usage: clipkit" in light(*arguments)


@pytest.mark.parametrize("kind", ["configs", "plugins", "commands"])
def test_lists_too(kind):
    assert len(light("list", kind).splitlines()) > 10


def test_version_too():
    import open_clip
    import torch

    import clipkit

    lines = light("version").splitlines()
    assert lines[0] == f"clipkit {clipkit.__version__}" and lines[1].startswith(f"python {sys.version_info.major}.")
    # A build's own ending (`+cpu`) is a part of the module's version only.
    assert torch.__version__.startswith(lines[2].removeprefix("torch ")) and lines[2].startswith("torch ")
    assert lines[3] == f"open_clip {open_clip.__version__}"


def test_a_table_of_commands_is_in_the_help():
    printed = light("--help")
    assert all(f"\n  {name} " in printed for name in COMMANDS)


@pytest.mark.parametrize("module", ["clipkit", "clipkit.cli"])
def test_as_a_module(module):
    done = subprocess.run([sys.executable, "-m", module, "--version"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("clipkit ")


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_stops_early_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "clipkit", "list", "configs"]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize("package, extra", [("mmdet", "det"), ("scipy", "seg"), ("av", "media")])
def test_a_missing_package_is_named_with_its_extra(package, extra, tmp_path, monkeypatch, capsys):
    (tmp_path / "needy.py").write_text(f"def main(argv):\n    import {package}.no_such_part\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "needy", raising=False)
    monkeypatch.setitem(COMMANDS, "needy", ("needy", "needs what is not there"))
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["needy"]) == 2
    expected = f'error: this command needs {package}, which is not installed: pip install -e ".[{extra}]"\n'
    assert capsys.readouterr().err == expected
