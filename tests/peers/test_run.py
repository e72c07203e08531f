"""The script that runs the tests of others, on a made-up checkout."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mmcv")

RUN = Path(__file__).with_name("run.py")
TESTS = """
import socket, unittest
import pytest, torch, mmcv
from mmcv.ops import nms_quadri

def test_installed_mmcv(): assert not mmcv.__file__.startswith({folder!r})
def test_wrong(): assert 1 == 2, "not equal"
def test_refused(): nms_quadri(torch.zeros(1, 8), torch.ones(1), 0.5)
def test_network(): socket.create_connection(("example.org", 80))
def test_here(): assert socket.getaddrinfo("localhost", 80)
def test_package():
    import a_package_that_nobody_has
@pytest.mark.skipif(not torch.cuda.is_available() or True, reason="requires CUDA support")
def test_cuda(): pass
@pytest.mark.skip(reason="requires MLU support")
def test_mlu(): pass
@pytest.mark.parametrize("n", [1, 2])
def test_twice(n): pass
class Case(unittest.TestCase):
    def test_unittest(self): self.assertTrue(True)
"""


def run(*arguments):
    return subprocess.run([sys.executable, RUN, *map(str, arguments)], capture_output=True, text=True)


def test_the_table(tmp_path):
    (tmp_path / "mmcv").mkdir()
    (tmp_path / "mmcv/__init__.py").write_text("raise ImportError('the checkout is not what is tested')")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --an-option-of-a-plugin-that-nobody-has\n")
    ops = tmp_path / "tests/test_ops"
    ops.mkdir(parents=True)
    (ops / "test_made_up.py").write_text(TESTS.format(folder=str(tmp_path)))
    (ops / "test_dies.py").write_text("import os\ndef test_first(): pass\ndef test_dies(): os._exit(7)\n")
    (ops / "test_no_import.py").write_text("import a_package_that_nobody_has\n")
    ended = run(tmp_path)
    rows = ended.stdout.splitlines()
    assert rows[0] == "| tests of | ran | passed | failed | refused | needs network | needs CUDA | needs other |"
    # passed: installed, here, twice, unittest, first; failed: wrong, dies; other: package, MLU, no_import
    assert rows[2].startswith("| onedl-mmcv ") and rows[2].endswith(" | 9 | 6 | 2 | 1 | 1 | 1 | 3 |")
    assert [row.split(": ")[0] for row in rows[3:]] == ["failed"] * 2 + ["refused"]
    assert "test_dies: the process ended with code 7" in rows[3]
    assert "test_wrong: AssertionError: not equal" in rows[4]
    assert "test_refused" in rows[5] and "nms_quadri" in rows[5]
    assert ended.returncode == 1
    (ops / "test_hangs.py").write_text("import threading\ndef test_hangs(): threading.Event().wait()\n")
    ended = run(tmp_path, "--only", "hangs", "--timeout", 3)
    assert ended.returncode == 1 and "test_hangs" in ended.stdout and "not done after 3 seconds" in ended.stdout
    ended = run(tmp_path, "--only", "no_import")
    assert ended.returncode == 0 and ended.stdout.splitlines()[2].endswith(" | 0 | 0 | 0 | 0 | 0 | 0 | 1 |")


def test_a_folder_that_is_no_checkout(tmp_path):
    ended = run(tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.strip() == f"{tmp_path}: no checkout of mmcv, mmdet or mmseg with its tests"
