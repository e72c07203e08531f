"""However a command ends: one line that names the file and the repair with code 2, `stopped` with 130 or 143; only a
defect keeps its traceback."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from clipkit import cli
from clipkit.explain import explain


@pytest.fixture
def ends(monkeypatch, capsys):
    """Runs a function as a command: (code, what it said on stderr)."""

    def run(main):
        module = types.ModuleType("probe_command")
        module.main = lambda argv: main()
        monkeypatch.setitem(sys.modules, "probe_command", module)
        monkeypatch.setitem(cli.COMMANDS, "probe", ("probe_command", ""))
        before = signal.getsignal(signal.SIGINT)
        try:
            return cli.run("probe", []), capsys.readouterr().err
        finally:
            signal.signal(signal.SIGINT, before)

    return run


@pytest.mark.parametrize(
    ("number", "repair"),
    [
        (errno.ENOSPC, "free space there"),
        (errno.EDQUOT, "free space there"),
        (errno.EROFS, "write elsewhere"),
        (errno.ENAMETOOLONG, "shorter name"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ELOOP, "circle"),
        (errno.EIO, "copy the file to another"),
        (errno.ESTALE, "try again"),
        (errno.EACCES, "permissions"),
        (errno.ENOTDIR, "is a file"),
    ],
)
def test_what_the_system_says_names_file_and_repair(ends, number, repair):
    def main():
        raise OSError(number, os.strerror(number), "a/b.png")

    code, said = ends(main)
    assert code == 2 and said.startswith(f"error: a/b.png: {os.strerror(number)}; ")
    assert repair in said and said.count("\n") == 1


def test_the_system_itself(ends, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    code, said = ends(lambda: (tmp_path / "loop").open())
    assert code == 2 and "loop: Too many levels of symbolic links; its links lead in a circle" in said
    code, said = ends(lambda: (tmp_path / ("x" * 300)).mkdir())
    assert code == 2 and "File name too long; give a shorter name" in said and len(said) < 400


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output():
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "clipkit", "--help"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "No space left on device" in run.stderr


def test_a_file_that_a_parser_chokes_on_is_named(ends, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK no more")

    def read(path):
        return zipfile.ZipFile(path)

    code, said = ends(lambda: read(tmp_path / "a.zip"))
    assert code == 2 and said.startswith(f"error: {tmp_path}/a.zip: cannot be used (BadZipFile: ")


def test_what_a_library_says_of_a_file_names_it(ends, tmp_path):
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\xff")

    def read(path):
        return json.loads(path.read_text(encoding="utf-8"))

    for name, why in (("a.json", "Expecting property name"), ("b.txt", "can't decode byte")):
        code, said = ends(lambda name=name: read(tmp_path / name))
        assert code == 2 and said.startswith(f"error: {tmp_path / name}: cannot be used (") and why in said


def test_a_defect_keeps_its_traceback_and_says_that_it_is_one(ends):
    def main():
        return {}["nothing"]

    with pytest.raises(KeyError) as raised:
        ends(main)
    assert "defect of clipkit" in raised.value.__notes__[0]


def test_ctrl_c_also_where_a_library_makes_another_error_of_it(ends):
    def formatting():
        try:
            raise KeyboardInterrupt
        except:  # noqa: E722 - so does mmengine, around yapf
            raise SyntaxError("Failed to format the config file") from None

    def plain():
        raise KeyboardInterrupt

    assert ends(formatting) == ends(plain) == (130, "stopped\n")


def test_a_log_that_cannot_be_written_is_said_once(ends, tmp_path):
    def main():
        handler = logging.FileHandler(tmp_path / "a.log")
        handler.stream.close()
        for _ in range(3):
            handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "text", (), None))
        return 0

    code, said = ends(main)
    assert code == 0 and said.startswith(f"warning: {tmp_path}/a.log: cannot be written (") and said.count("\n") == 1


class Killed(Dataset):
    """The worker that reads a sample is killed, as by a system that is out of memory."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_one_line(ends):
    code, said = ends(lambda: list(DataLoader(Killed(), batch_size=None, num_workers=1)))
    assert (
        code == 2 and "a worker of the data loader (process " in said and "memory ran out; give fewer workers" in said
    )
    assert said.count("error: ") == 1


def test_what_torch_says_of_memory_and_of_other_processes():
    for text, line in (
        ("CUDA out of memory. Tried to allocate 2 GiB", "memory ran out"),
        ("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory", "memory ran out"),
        ("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible", "/dev/shm"),
        ("[../third_party/gloo/tcp/pair.cc:5] Connection closed by peer [127.0.0.1]:1", "another process of this run"),
    ):
        assert line in explain(RuntimeError(text))
    assert explain(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


COMMAND = """
import signal, sys, time, types
from torch.utils.data import DataLoader
from clipkit import cli

class Slow:
    def __len__(self):
        return 100
    def __getitem__(self, index):
        if index:
            time.sleep(60)
        return index

def main(argv):
    for _ in DataLoader(Slow(), batch_size=None, num_workers=2):
        print("ready", flush=True)

module = types.ModuleType("probe"); module.main = main; sys.modules["probe"] = module
cli.COMMANDS["probe"] = ("probe", "")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore it
sys.exit(cli.main(["probe"]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_command_and_its_workers_without_a_traceback(number, code):
    run = subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout.readline() == "ready\n"
    os.killpg(run.pid, number)  # as a terminal does: to the workers too
    said = run.communicate(timeout=60)[1]
    assert (run.returncode, said) == (code, "stopped\n")


@pytest.mark.parametrize("module", ["clipkit.segmentation", "clipkit.detection"])
def test_imports_say_nothing_of_packages_that_nobody_needs(module):
    pytest.importorskip("mmseg" if module.endswith("segmentation") else "mmdet")
    run = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
