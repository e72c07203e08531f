"""The fuzzer sees what it is there for: each kind of defect, planted into a reader of its own."""

import faulthandler
import os
import shutil
import signal
import sys
import time
import zlib
from pathlib import Path

import pytest

from clipkit.errors import ClipkitError
from fuzz.formats import png, structured, zip_members
from fuzz.pool import Bench, Limits
from fuzz.run import main, run
from fuzz.table import Reader, command, only

TEXT = b"0123456789 what was written\n" * 20


def seeds(root: Path) -> None:
    (root / "one").mkdir()
    (root / "one/a.bin").write_bytes(TEXT + zlib.crc32(TEXT).to_bytes(4, "little"))


def content(folder: Path) -> bytes:
    """What a good reader does: bytes as they were written, or one line."""
    path = only(folder)
    data = path.read_bytes() if path.is_file() else b""
    if zlib.crc32(data[:-4]).to_bytes(4, "little") != data[-4:]:
        raise ClipkitError(f"{path}: is damaged; copy it again")
    return data[:-4]


def damaged(then):
    """A reader that does something else with what it should refuse."""

    def call(folder):
        try:
            return content(folder)
        except ClipkitError as error:
            return then(error, folder)

    return call


def bare(error, folder):
    raise KeyError("x")


def of_a_library(error, folder):
    int("no number")  # a ValueError that says nothing of the file


def nameless(error, folder):
    raise ClipkitError("a file is damaged")


def slow(error, folder):
    time.sleep(60)


def large(error, folder):
    held = bytearray(450 << 20)
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
    raise error


def endless(error, folder):
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20) * 16))


def crash(error, folder):
    faulthandler.disable()  # pytest's would print this as a crash of its own
    os.kill(os.getpid(), signal.SIGSEGV)


def silent(error, folder):
    return only(folder).read_bytes()[:-4] if only(folder).is_file() else content(folder)


def storm(error, folder):
    print("\n".join(f"UserWarning: odd number {number}" for number in range(200)), file=sys.stderr)
    raise error


def traceback(error, folder):
    sys.excepthook(*sys.exc_info())
    raise error


def of_a_command(error, folder):
    def tool(arguments):
        print(f"warning: {error}\nsecond line", file=sys.stderr)
        return 1

    command(tool)


PLANTED = {
    bare: "KeyError in ", of_a_library: "ValueError in ", nameless: "names no file", slow: "takes longer than",
    large: "MiB, and its files allow", endless: "grows by|MemoryError", crash: "died by SIGSEGV",
    silent: "accepted one with other values", storm: "printed ", traceback: "printed a traceback",
    of_a_command: "AssertionError",
}  # fmt: skip


@pytest.mark.parametrize("then", PLANTED, ids=lambda then: then.__name__)
def test_a_planted_defect_is_found(then, tmp_path, capfd):
    row = Reader("planted", seeds, damaged(then), checked=("one",))
    limits = Limits(seconds=2.0 if then is slow else 20.0, slack=64 << 20, address=2 << 30)
    found = run(row, 2 if then in (slow, endless) else 12, 1, tmp_path, limits)
    assert found and all(any(word in name for word in PLANTED[then].split("|")) for name in found), found
    said = capfd.readouterr().out
    assert "tests/fuzz/run.py --reader 'planted' --replay" in said and any(tmp_path.iterdir())


def test_a_good_reader_has_none(tmp_path):
    assert not run(Reader("good", seeds, content, checked=("*",)), 40, 0, tmp_path)


def test_seeds_that_are_refused_are_an_error_of_the_row(tmp_path):
    def refuse(folder):
        raise ClipkitError(f"{only(folder)}: is damaged")

    with pytest.raises(RuntimeError, match="the seed one is not accepted"):
        run(Reader("refused", seeds, refuse), 1, 0, tmp_path)


def test_a_case_is_a_function_of_its_seed_and_number():
    def bytes_of(seed):
        row = Reader("good", seeds, content)
        with Bench(row, seed) as bench:
            out = []
            for outcome in bench.cases(range(8)):
                files = [path for path in sorted(bench.place.rglob("*")) if path.is_file()]
                out.append((outcome.verdict.kind, outcome.done, [path.read_bytes() for path in files]))
            return out

    assert bytes_of(3) == bytes_of(3) != bytes_of(4)


def test_checksums_stay_right(tmp_path):
    import io
    import random
    import zipfile

    from PIL import Image

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a/b.txt", "text " * 50)
        archive.writestr("a/c.json", '{"a": 1}')
    image = io.BytesIO()
    Image.new("RGB", (8, 8)).save(image, "PNG")
    assert structured(data.getvalue(), "a.zip") is zip_members and structured(image.getvalue(), "a.png") is png
    changed = 0
    for seed in range(60):
        out = zip_members(data.getvalue(), random.Random(seed))
        with zipfile.ZipFile(io.BytesIO(out)) as archive:
            assert len(set(archive.namelist())) < len(archive.namelist()) or archive.testzip() is None
        out = png(image.getvalue(), random.Random(seed))
        place = 8
        while place < len(out):
            end = place + 8 + int.from_bytes(out[place : place + 4], "big")
            assert zlib.crc32(out[place + 4 : end]) == int.from_bytes(out[end : end + 4], "big")
            place = end + 4
        changed += out != image.getvalue()
    assert changed > 40


def test_the_command_replays_a_case(tmp_path, capsys):
    (tmp_path / "case").mkdir()
    (tmp_path / "case/a.txt").write_text("cat\ndog\n")
    assert main(["--reader", "label files", "--replay", str(tmp_path / "case")]) == 0
    assert "('dog',)" in capsys.readouterr().out
    (tmp_path / "case/a.txt").write_text("cat\ncat\n")
    with pytest.raises(ValueError, match="already in line 1"):
        main(["--reader", "label files", "--replay", str(tmp_path / "case")])
    shutil.rmtree(tmp_path / "case")
