"""`clipkit doctor` in broken environments, each simulated: what it says and what it advises."""

import re
import runpy
import sys
import types
from pathlib import Path

import pytest

from clipkit.commands import doctor
from clipkit.mmcv_ops import Substitute

FINE = {"onedl-mmengine": "0.10", "onedl-mmcv": "2.3", "onedl-mmsegmentation": "1.4", "onedl-mmdetection": "3.5"}


@pytest.fixture
def world(monkeypatch):
    """`installed` is what pip would list; what is in `broken` raises when it is imported, the rest is an empty module
    or the one in `modules`."""
    state = types.SimpleNamespace(installed={**FINE, "opencv-python": "5.0"}, broken={}, modules={})
    monkeypatch.setattr(
        doctor, "_installed", lambda names: {n: state.installed[n] for n in names if n in state.installed}
    )

    def load(name):
        if name in state.broken:
            raise state.broken[name]
        return state.modules.get(name) or types.ModuleType(name)

    monkeypatch.setattr(doctor, "import_module", load)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    return state


def torch_with(cuda=None, available=False, compute=None):
    def ones(*_, device="cpu"):
        if compute and device == "cuda":
            raise RuntimeError(compute)
        return types.SimpleNamespace(add=lambda _: types.SimpleNamespace(cpu=lambda: None))

    gpu = types.SimpleNamespace(
        is_available=lambda: available, device_count=lambda: 1, get_device_name=lambda _: "A GPU"
    )
    return types.SimpleNamespace(
        __version__="2.15", version=types.SimpleNamespace(cuda=cuda), cuda=gpu, ones=ones, eye=ones
    )


def only(check):
    (finding,) = check()
    return finding


def test_all_is_well(world):
    assert [finding.advice for finding in doctor._openmmlab()] == ["", "", "", ""]
    assert only(doctor._opencv) == ("opencv", "opencv-python 5.0", "")
    assert only(doctor._python).advice == ""


def test_another_system_says_what_stands_for_posix(world, monkeypatch):
    monkeypatch.setattr(doctor.platform, "system", lambda: "Windows")
    monkeypatch.setattr(doctor.sys, "platform", "win32")
    monkeypatch.delattr(doctor.select, "poll")
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    text = only(doctor._system).text
    assert "not tested: workers are spawned, videos read through threads" in text and "one process write" in text


def test_both_mmcv_distributions(world):
    world.installed["mmcv"] = "2.2"
    finding = next(f for f in doctor._openmmlab() if f.topic == "mmcv")
    assert finding.text.startswith("onedl-mmcv 2.3 and mmcv 2.2 write into one folder")
    assert finding.advice == "pip uninstall -y onedl-mmcv mmcv, then pip install onedl-mmcv"


def test_the_official_packages_and_their_version_assertion(world):
    del world.installed["onedl-mmdetection"]
    world.installed["mmdet"] = "3.3"
    world.broken["mmdet"] = AssertionError("MMCV==2.3 is used but incompatible")
    finding = next(f for f in doctor._openmmlab() if f.topic == "mmdet")
    assert finding.text == "mmdet 3.3, does not load: AssertionError: MMCV==2.3 is used but incompatible"
    assert finding.advice == "pip uninstall -y mmdet, then pip install onedl-mmdetection"
    world.broken.clear()
    assert "tested with onedl-mmdetection" in next(f for f in doctor._openmmlab() if f.topic == "mmdet").text


def test_nothing_of_openmmlab(world):
    world.installed.clear()
    findings = list(doctor._openmmlab())
    assert all(f.text.startswith("not installed") and not f.advice for f in findings)
    assert findings[-1].text.endswith('pip install -e ".[det]"')
    assert list(doctor._operators()) == []


def test_opencv_without_libgl(world):
    world.broken["cv2"] = ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
    finding = only(doctor._opencv)
    assert "libGL.so.1" in finding.text
    assert finding.advice.startswith("pip uninstall -y opencv-python, then pip install opencv-python-headless")
    assert "libgl1" in finding.advice


@pytest.mark.parametrize("number, todo", [("5.0", False), ("4.9", True)])
def test_both_builds_of_opencv(world, number, todo):
    world.installed["opencv-python-headless"] = number
    finding = only(doctor._opencv)
    assert finding.text.startswith(f"opencv-python 5.0 and opencv-python-headless {number}")
    assert bool(finding.advice) == todo
    assert not todo or "pip uninstall -y opencv-python opencv-python-headless" in finding.advice


def test_no_opencv(world):
    world.installed.pop("opencv-python")
    world.broken["cv2"] = ModuleNotFoundError("No module named 'cv2'")
    assert 'pip install -e ".[seg]"' in only(doctor._opencv).text


@pytest.mark.parametrize(
    "torch, driver, text, advice",
    [
        (torch_with(), False, "2.15, without CUDA, no GPU", ""),
        (torch_with(), True, "2.15, without CUDA", "install a torch with CUDA"),
        (torch_with("13.2"), False, "CUDA 13.2, no GPU", ""),
        (torch_with("13.2"), True, "no GPU that it can use", "nvidia-smi"),
        (torch_with("13.2", True), True, "1 x A GPU", ""),
        (torch_with("13.2", True, "no kernel image is available"), True, "no kernel image", "built for this GPU"),
    ],
)
def test_torch_and_the_gpu(world, monkeypatch, torch, driver, text, advice):
    world.modules["torch"] = torch
    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/usr/bin/nvidia-smi" if driver else None)
    finding = only(doctor._torch)
    assert text in finding.text and advice in finding.advice and bool(finding.advice) == bool(advice)


@pytest.mark.parametrize(
    "error", [RuntimeError("operator torchvision::nms does not exist"), OSError("undefined symbol: _ZN3c10")]
)
def test_torchvision_for_another_torch(world, error):
    world.modules["torch"] = torch_with()
    world.broken["torchvision"] = error
    finding = only(doctor._torchvision)
    assert str(error) in finding.text and "torch torchvision" in finding.advice


def test_torchvision_without_cuda_beside_torch_with_cuda(world):
    def nms(boxes, scores, threshold):
        raise NotImplementedError("Could not run 'torchvision::nms' with arguments from the 'CUDA' backend.")

    world.modules["torch"] = torch_with("13.2", True)
    world.modules["torchvision"] = types.SimpleNamespace(ops=types.SimpleNamespace(nms=nms), __version__="0.29")
    assert "'CUDA' backend" in only(doctor._torchvision).text and only(doctor._torchvision).advice


def substitute(why):
    module = Substitute("mmcv._ext", why)
    _ = module.border_align_forward, module.border_align_backward
    return module


def test_operators_by_clipkit(world, monkeypatch):
    monkeypatch.setitem(sys.modules, "mmcv._ext", substitute("mmcv was installed without compiled operators"))
    first, there, missing = doctor._operators()
    assert "installed without compiled" in first.text and not first.advice
    assert (
        "ms_deform_attn, nms, nms_match, nms_rotated, psamask, roi_align, roi_align_rotated" in there.text
        and "_forward" not in there.text
    )
    assert missing.text.endswith(": border_align")


def test_operators_that_do_not_load(world, monkeypatch):
    monkeypatch.setitem(sys.modules, "mmcv._ext", substitute("/x/_ext.so does not load: undefined symbol"))
    first = next(doctor._operators())
    assert "undefined symbol" in first.text and "compile onedl-mmcv again" in first.advice


@pytest.mark.parametrize("broken", [False, True])
def test_compiled_operators(world, monkeypatch, broken):
    def nms(boxes, scores, threshold):
        if broken:
            raise RuntimeError("nms_impl: implementation for device cuda:0 not found.")

    compiled = types.ModuleType("mmcv._ext")
    compiled.__file__ = "/x/_ext.so"
    monkeypatch.setitem(sys.modules, "mmcv._ext", compiled)
    world.modules["torch"] = torch_with()
    world.modules["mmcv.ops"] = types.SimpleNamespace(nms=nms, get_compiling_cuda_version=lambda: "12.1")
    finding = only(doctor._operators)
    assert "/x/_ext.so, CUDA 12.1" in finding.text
    assert ("CLIPKIT_MMCV_OPS=clipkit" in finding.advice) == broken


def test_a_check_that_dies_is_a_line(world, capsys):
    world.broken["torch"] = OSError("libcudart.so.12: cannot open shared object file")
    assert doctor.main([]) == 1
    output = capsys.readouterr().out
    assert "torch        cannot be examined: OSError: libcudart.so.12" in output and output.endswith("to repair\n")


def test_report_on_this_machine(capsys):
    pytest.importorskip("mmcv")
    findings = list(doctor.examine())
    assert {"python", "torch", "torchvision", "opencv", "mmcv", "operators", "others"} <= {f.topic for f in findings}
    assert not any("cannot be examined" in f.text for f in findings)
    for line in findings:
        assert "\n" not in line.text + line.advice


def test_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["clipkit.doctor", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("clipkit.doctor", run_name="__main__")
    assert end.value.code == 0 and "usage: clipkit doctor" in capsys.readouterr().out


def test_readme_names_what_is_not_served():
    pytest.importorskip("mmcv")
    *_, missing = doctor._operators()
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    named = re.search(r"<summary>Not served:.*?</summary>(.*?)</details>", readme, re.DOTALL)[1]
    assert " ".join(named.split()) == missing.text.partition(": ")[2]
