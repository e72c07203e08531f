"""What the extra `media` is for: films are embedded, indexed and searched where nothing of OpenMMLab is installed."""

import subprocess
import sys

import pytest

pytest.importorskip("av")

WITHOUT_OPENMMLAB = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mmengine", "mmcv", "mmseg", "mmdet"):
            raise ModuleNotFoundError(f"blocked: {name}", name=name)
sys.meta_path.insert(0, Blocker())
import numpy as np
from clipkit.cli import main
from clipkit.shapes import write_film
frames = np.zeros((8, 64, 64, 3), dtype=np.uint8)
frames[:, 16:48, 16:48, 0] = 220
write_film(frames, "red.mkv")
open("films.csv", "w").write("video,sentence\\nred.mkv,a red square\\n")
assert main(["frames", "csv", "films.csv", "--out", "store", "--clip", "tiny_clip", "--device", "cpu"]) == 0
assert main(["search", "index", "red.mkv", "--out", "index", "--clip", "tiny_clip", "--device", "cpu"]) == 0
assert main(["search", "query", "index", "a red square", "--device", "cpu"]) == 0
assert not {"mmengine", "mmcv"} & set(sys.modules)
"""


def test_films_without_openmmlab(tmp_path):
    command = [sys.executable, "-c", WITHOUT_OPENMMLAB]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "1 videos, 1 sentences" in done.stdout and "red.mkv" in done.stdout.splitlines()[-1]
