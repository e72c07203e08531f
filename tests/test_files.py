"""Files are whole or absent, and no planted link is written through."""

import ast
import errno
import os
import signal
import stat
from pathlib import Path

import pytest

from clipkit import files
from clipkit.errors import ClipkitError

ROOT = Path(__file__).parents[1]
WAYS = {
    "write_text": lambda path: files.write_text(path, "new"),
    "append_lines": lambda path: files.append_lines(path, ["new"]),
}


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_text_and_bytes_replace_what_was_there(tmp_path):
    path = tmp_path / ("ä" * 120)  # as long as a name may be: what is written aside has another one
    files.write_text(path, "a longer one, ü\n")
    files.write_text(path, "ü\n")
    assert path.read_bytes() == "ü\n".encode()
    files.write_bytes(str(path), memoryview(b"\0\1"))
    assert path.read_bytes() == b"\0\1" and names(tmp_path) == [path.name]


def test_an_error_inside_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.json"
    files.write_text(path, "old")

    class Mistake(BaseException):
        pass

    with pytest.raises(Mistake), files.writing(path) as partial:
        partial.write_text("half")
        raise Mistake
    assert path.read_text() == "old" and names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("moment", ["writing", "fsync", "replace"])
def test_a_kill_leaves_the_old_file_whole_and_a_clean_up_finds_the_rest(tmp_path, moment):
    path = tmp_path / "a.json"
    files.write_text(path, "old")
    pid = os.fork()
    if pid == 0:

        def die(*_args):
            os.kill(os.getpid(), signal.SIGKILL)

        if moment == "writing":
            with files.writing(path) as partial:
                partial.write_text("half")
                die()
        setattr(os, moment, die)
        files.write_text(path, "new")
        os._exit(0)  # not reached
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert path.read_text() == "old" and len(names(tmp_path)) == 2
    (tmp_path / "download.partial").touch()  # somebody else's
    (tmp_path / "iter_1.pth.4711.partial").touch()  # as clipkit named them before
    files.clean_partial(tmp_path)
    assert names(tmp_path) == ["a.json", "download.partial"]


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    said = []

    def noted(name):
        real = getattr(os, name)

        def call(*args):
            folder = name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode)
            said.append("fsync of the folder" if folder else name)
            return real(*args)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name))
    files.write_text(tmp_path / "a", "x")
    assert said == ["fsync", "replace", "fsync of the folder"]
    said.clear()
    files.append_lines(tmp_path / "b", ["x"])
    assert said == ["fsync", "fsync of the folder"]
    files.append_lines(tmp_path / "b", ["y"])
    assert said[2:] == ["fsync"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    old = os.umask(0o027)
    try:
        for name, write in WAYS.items():
            write(tmp_path / name)
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640
    finally:
        os.umask(old)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_plain_file_is_refused_in_a_line(tmp_path, way):
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    kinds = {"link": "is a link", "dangling": "is a link", "folder": "is a folder", "pipe": "is a pipe"}
    before = names(tmp_path)
    for name, said in kinds.items():
        with pytest.raises(ClipkitError, match=rf"{name}: {said}.* plain file") as caught:
            WAYS[way](tmp_path / name)
        assert "\n" not in str(caught.value)
    assert victim.read_text() == "kept" and names(tmp_path) == before


def test_a_link_at_the_partial_name_is_never_followed(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("kept")
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "0" * 2 * n)
    (tmp_path / f"a.{'0' * 16}.partial").symlink_to(victim)
    with pytest.raises(ClipkitError, match="a: cannot be written"):
        files.write_text(tmp_path / "a", "new")
    assert victim.read_text() == "kept"
    (tmp_path / f"a.{'0' * 16}.partial").unlink(missing_ok=True)
    with pytest.raises(ClipkitError, match="is a link"), files.writing(tmp_path / "a") as partial:
        partial.unlink()
        partial.symlink_to(victim)
    assert victim.read_text() == "kept" and names(tmp_path) == ["victim"]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    files.write_text(tmp_path / "a", "old")

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in WAYS.values():
        with pytest.raises(ClipkitError, match=r"a: cannot be written \(No space left on device\)"):
            write(tmp_path / "a")
    assert names(tmp_path) == ["a"]


def test_lines_are_added_after_one_that_a_kill_cut(tmp_path):
    path = tmp_path / "a.jsonl"
    files.append_lines(path, ["one", "zwei ü"])
    files.append_lines(path, ["three"])
    assert path.read_text(encoding="utf-8") == "one\nzwei ü\nthree\n"
    path.write_text('{"cut')
    files.append_lines(path, ["whole"])
    assert path.read_text() == '{"cut\nwhole\n'


def test_nobody_else_renames_or_syncs():
    folders = {"clipkit/shapes/film_files.py", "clipkit/data/fewshot_lists.py"}  # they rename folders
    found = {
        str(path.relative_to(ROOT))
        for part in ("clipkit", "plugins")
        for path in (ROOT / part).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.replace", "os.rename", "os.fsync")
    }
    assert found == {"clipkit/files.py", *folders}
