"""The package as a stranger meets it: light to import, without OpenMMLab, and whole in a wheel."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import clipkit

ROOT = Path(__file__).parents[1]

WITHOUT_OPENMMLAB = """
import sys
blocked = ("mmengine", "mmcv", "mmseg", "mmdet")
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)
sys.meta_path.insert(0, Blocker())
import clipkit
assert "torch" not in sys.modules, "import clipkit is not light"
from clipkit import cli
assert cli.main(["--help"]) == 0
assert cli.main(["train", "x.py"]) == 2  # one line that names the package to install
for name in clipkit.__all__:
    if name != "Segmenter":
        getattr(clipkit, name)
import clipkit.adapters, clipkit.backbone, clipkit.data, clipkit.evaluation, clipkit.inference, clipkit.nn
import clipkit.shapes, clipkit.store, clipkit.text
"""


def run(code_or_arguments, cwd, **environment):
    arguments = ["-c", code_or_arguments] if isinstance(code_or_arguments, str) else code_or_arguments
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=500,
    )


def test_everything_but_the_engine_works_without_openmmlab(tmp_path):
    done = run(WITHOUT_OPENMMLAB, tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'this command needs mmengine, which is not installed: pip install -e ".[seg]"' in done.stderr


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = clipkit.NoSuchName
    assert set(clipkit.__all__) <= set(dir(clipkit))


def build_wheel(folder: Path) -> Path:
    source = folder / "source"
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns(".git", "build", "dist", "work_dirs", "*.egg-info", "__pycache__")
    )
    setuptools = pytest.importorskip("setuptools")
    out = folder / "wheel"
    out.mkdir()
    if int(setuptools.__version__.partition(".")[0]) >= 77:
        done = run(f"from setuptools import build_meta; build_meta.build_wheel({str(out)!r})", source)
    else:  # pip fetches one that can read pyproject.toml
        done = run(["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(source)], folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_is_whole_and_works_outside_the_checkout(tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
        wheel.extractall(site)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {
        "clipkit",
        "clipkit_plugins",
        "clipkit_configs",
        "openclipkit",  # its metadata
    }
    for folder, package in (("clipkit", "clipkit"), ("plugins", "clipkit_plugins"), ("configs", "clipkit_configs")):
        for file in (ROOT / folder).rglob("*.py"):
            assert f"{package}/{file.relative_to(ROOT / folder).as_posix()}" in names
    for file in (ROOT / "clipkit").rglob("*.*"):
        if file.suffix in (".json", ".safetensors", ".typed"):
            assert file.relative_to(ROOT).as_posix() in names
    assert "clipkit/py.typed" in names

    helped = run(["-m", "clipkit.cli", "--help"], elsewhere, PYTHONPATH=str(site))
    assert helped.returncode == 0 and "train" in helped.stdout
    found = run(
        "import clipkit, sys; from clipkit.engine.config import find_config, load_config\n"
        "path = find_config('lseg/lseg_tiny_shapes.py'); load_config(path)\n"
        "print(clipkit.__file__); print(path)",
        elsewhere,
        PYTHONPATH=str(site),
    )
    assert found.returncode == 0, found.stderr
    assert all(line.startswith(str(site)) for line in found.stdout.split())
