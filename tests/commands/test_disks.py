"""Full and read-only disks: each command ends with one line and a code, and leaves nothing half written that a later
run takes for whole."""

import errno
import os
import re

import numpy as np
import pytest
from PIL import Image

from clipkit import cli
from clipkit.shapes import render, write_film
from support import tiny_parts
from support.disks import mounted, pretended
from support.train_command import outcome, same

TINY = ["--clip", "tiny_clip"]
COMMANDS = {
    "train": ["train", "tiny.py", "--resume", "--work-dir", "{out}"],
    "predict": ["predict", "dense_clip/dense_tiny_shapes.py", "none", "photos", "--out", "{out}"],
    "search": ["search", "index", "photos", "red.mkv", "--out", "{out}", *TINY, "--precision", "fp32"],
    "frames": ["frames", "csv", "films.csv", "--out", "{out}", *TINY, "--precision", "fp32"],
    "precompute": [
        "precompute",
        "photos",
        "--grid",
        "--max-boxes",
        "3",
        "--out",
        "{out}",
        *TINY,
        "--precision",
        "fp32",
    ],
    "label": ["label", "photos", "red star, grass", "--out", "{out}", *TINY, "--min-score", "0"],
    "try": ["try", "photos", "red star, grass", "--out", "{out}", *TINY],
}
NEEDS = {"predict": "mmseg", "search": "av", "frames": "av", "label": "supervision"}
parametrized = pytest.mark.parametrize("command", COMMANDS)


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Runs a command with `{out}` filled in: its code and what it said on standard error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.py").write_text(tiny_parts.CONFIG)
    (tmp_path / "photos").mkdir()
    pictures = (render(4, size=80, seed=2).images * 255).round().byte().movedim(1, -1).numpy()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "films.csv").write_text("video,sentence\nred.mkv,a red square\n")

    def run(command, out):
        if command in NEEDS:
            pytest.importorskip(NEEDS[command])
        if NEEDS.get(command) == "av" and not (tmp_path / "red.mkv").exists():
            write_film(np.full((8, 64, 64, 3), 90, np.uint8), "red.mkv")
        arguments = [word.replace("{out}", str(out)) for word in COMMANDS[command]]
        capfd.readouterr()
        code = cli.run(arguments[0], arguments[1:])
        return code, capfd.readouterr().err

    return run


def check_line(code, said, number, out):
    """One line, which names the file and the reason."""
    lines = re.findall("(?:error: |skipped: |Traceback).*", said)  # a line of progress may stand before it
    assert code == 2 and len(lines) == 1, (code, said)
    assert lines[0].startswith("error: ") and str(out) in lines[0], said
    assert os.strerror(number) in lines[0] or (number == errno.ENOSPC and "the disk is full" in lines[0]), said


def tree(folder):
    """Name -> bytes; of a training, what does not depend on the time."""
    if (folder / "last_checkpoint").exists():
        return outcome(folder)
    assert not list(folder.rglob("*.partial"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@parametrized
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC], ids=["read-only", "full"])
def test_a_disk_that_takes_nothing(run, tmp_path, command, number):
    disk = tmp_path / "disk"
    disk.mkdir()
    with pretended(disk, number):
        code, said = run(command, disk / "out")
    check_line(code, said, number, disk)
    assert not list(disk.iterdir())


@parametrized
def test_a_disk_that_may_only_be_read(run, tmp_path, command):
    disk = tmp_path / "disk"
    with mounted(disk, "size=1m,ro"):
        code, said = run(command, disk / "out")
        check_line(code, said, errno.EROFS, disk)


@parametrized
@pytest.mark.parametrize("share", [0.4, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.1, 0.7, 0.9))])
def test_a_disk_that_fills_and_has_room_later(run, tmp_path, command, share):
    disk = tmp_path / "disk"
    with mounted(disk, "size=64m"):
        assert run(command, disk / "out")[0] == 0
        whole = tree(disk / "out")
        pages = sum(-(-p.stat().st_size // 4096) for p in disk.rglob("*") if p.is_file())
    with mounted(disk, f"size={max(1, int(share * pages)) * 4}k") as again:
        check_line(*run(command, disk / "out"), errno.ENOSPC, disk)
        again("size=64m")
        assert run(command, disk / "out")[0] == 0
        assert same(tree(disk / "out"), whole)


def test_an_index_that_may_only_be_read_is_searched(run, tmp_path):
    disk = tmp_path / "disk"
    with mounted(disk, "size=8m") as again:
        assert run("search", disk / "out")[0] == 0
        again("ro")
        assert cli.run("search", ["query", str(disk / "out"), "a red star"]) == 0
