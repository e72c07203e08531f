"""`clipkit doctor`: versions, what is broken, the one line that repairs it, and what serves each of mmcv's operators.

Every check imports and runs what it speaks of; a broken package ends its own check alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import select
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from typing import NamedTuple

from clipkit.errors import one_line

OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
# Folder -> distributions that write into it, the one that clipkit is tested with first, and clipkit's extra for it.
OPENMMLAB = {
    "mmengine": (("onedl-mmengine", "mmengine", "mmengine-lite"), "seg"),
    "mmcv": (("onedl-mmcv", "mmcv", "mmcv-full", "mmcv-lite"), "seg"),
    "mmseg": (("onedl-mmsegmentation", "mmsegmentation"), "seg"),
    "mmdet": (("onedl-mmdetection", "mmdet"), "det"),
}
OTHERS = ("numpy", "open_clip_torch", "timm", "transformers", "pycocotools", "safetensors", "av", "decord")
PYTHONS = ((3, 11), (3, 13))  # the oldest and the newest that clipkit is meant for


class Finding(NamedTuple):
    """One line of the report, and what to do in one line; empty where nothing is to be done."""

    topic: str
    text: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """All findings, each as soon as it is made."""
    for check in (_python, _system, _clipkit, _torch, _torchvision, _opencv, _openmmlab, _operators, _others):
        try:
            yield from check()
        except Exception as error:  # noqa: PERF203 (the doctor never dies of what it finds)
            what = f"cannot be examined: {type(error).__name__}: {one_line(error, 160)}"
            yield Finding(check.__name__[1:], what, "install anew the package that this message names")


def _python() -> Iterator[Finding]:
    here, (oldest, newest) = sys.version_info[:2], PYTHONS
    meant = f"Python {oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
    text = f"{platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    text += f"; newer than clipkit's {meant}" if here > newest else ""
    yield Finding("python", text, f"clipkit needs {meant}" if here < oldest else "")


def _system() -> Iterator[Finding]:
    """What stands for fork, polled pipes and file locks where the system has none."""
    if sys.platform.startswith("linux"):
        yield Finding("system", "Linux, tested: workers are forked, videos read through polled pipes, stores locked")
        return
    reading = "polled pipes" if hasattr(select, "poll") and hasattr(os, "readv") else "threads"
    locks = "locked" if find_spec("fcntl") else "not locked (let one process write at a time)"
    text = f"{platform.system()}, expected to work, not tested: workers are spawned, videos read through {reading}, "
    yield Finding("system", f"{text}stores {locks}")


def _clipkit() -> Iterator[Finding]:
    """This project's distribution is `openclipkit`. On PyPI `clipkit` is another project's, with a package of the same
    name; a `clipkit` with this project's command is one that was installed before it was renamed."""
    ours = _installed(("openclipkit",)).get("openclipkit")
    text = f"openclipkit {ours}" if ours else "runs from its folder, not installed"
    try:
        other = distribution("clipkit")
    except PackageNotFoundError:
        other = None
    if other is None or any(point.value == "clipkit.cli:main" for point in other.entry_points):
        yield Finding("clipkit", text)
        return
    yield Finding(
        "clipkit",
        f"{text}, and clipkit {other.version}, another project's, in one folder, clipkit: parts of each are there",
        "pip uninstall -y clipkit openclipkit, then in this project's folder pip install -e .",
    )


def _torch() -> Iterator[Finding]:
    torch = import_module("torch")
    text = f"{torch.__version__}, {f'CUDA {torch.version.cuda}' if torch.version.cuda else 'without CUDA'}"
    has_driver = shutil.which("nvidia-smi") is not None
    if torch.cuda.is_available():
        text += f", {torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
        try:
            torch.ones(1, device="cuda").add(1).cpu()
        except RuntimeError as error:
            yield Finding(
                "torch",
                f"{text}; the GPU cannot compute: {one_line(error, 120)}",
                "install a torch that was built for this GPU: https://pytorch.org/get-started",
            )
            return
        yield Finding("torch", text)
    elif has_driver and torch.version.cuda is None:
        advice = "this machine has an NVIDIA driver: install a torch with CUDA, https://pytorch.org/get-started"
        yield Finding("torch", text, advice)
    elif has_driver:
        advice = "see `nvidia-smi`: the driver is older than this CUDA, or CUDA_VISIBLE_DEVICES hides the GPU"
        yield Finding("torch", f"{text}, no GPU that it can use", advice)
    else:
        yield Finding("torch", f"{text}, no GPU")


def _torchvision() -> Iterator[Finding]:
    advice = (
        "torch and torchvision do not fit: reinstall both at once, pip install -U --force-reinstall torch torchvision"
    )
    try:
        torch, torchvision = import_module("torch"), import_module("torchvision")
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            torchvision.ops.nms(torch.eye(2, 4, device=device), torch.ones(2, device=device), 0.5)
    except Exception as error:  # of many types: missing symbols, missing operators, missing backends
        yield Finding("torchvision", f"its operators do not run: {one_line(error, 160)}", advice)
        return
    yield Finding("torchvision", f"{torchvision.__version__}, its operators run")


def _opencv() -> Iterator[Finding]:
    there = _installed(OPENCV)
    names = " and ".join(f"{name} {number}" for name, number in there.items()) or "not installed"
    again = f"pip uninstall -y {' '.join(there)}, then pip install opencv-python-headless"
    try:
        import_module("cv2")
    except ImportError as error:
        if not there:
            yield Finding("opencv", f'{names}; mmcv needs it: pip install -e ".[seg]"')
        else:
            advice = f"{again} (it needs no libGL), or install the system's libgl1 and libglib2.0-0"
            yield Finding("opencv", f"{names}, does not load: {one_line(error, 160)}", advice)
        return
    if len(set(there.values())) > 1:
        yield Finding("opencv", f"{names} write into one folder, cv2: parts of both are there", again)
    elif len(there) > 1:
        yield Finding("opencv", f"{names}: one folder, cv2, which loads; uninstalling either breaks the other")
    else:
        yield Finding("opencv", names)


def _openmmlab() -> Iterator[Finding]:
    from clipkit.engine.register import quiet_imports

    for folder, (names, extra) in OPENMMLAB.items():
        there = _installed(names)
        text = " and ".join(f"{name} {number}" for name, number in there.items())
        fresh = f"pip uninstall -y {' '.join(there)}, then pip install {names[0]}"
        if not there:
            yield Finding(folder, f'not installed; what needs it says so: pip install -e ".[{extra}]"')
            continue
        try:
            with quiet_imports():
                import_module(folder)
        except Exception as error:  # mmdet and mmseg assert versions, broken ones raise anything
            yield Finding(folder, f"{text}, does not load: {type(error).__name__}: {one_line(error, 160)}", fresh)
            continue
        if len(there) > 1:
            yield Finding(folder, f"{text} write into one folder, {folder}: parts of each are there", fresh)
        elif names[0] not in there:
            yield Finding(folder, f"{text}; clipkit is tested with {names[0]}", fresh)
        else:
            yield Finding(folder, text)


def _operators() -> Iterator[Finding]:
    if not _installed(OPENMMLAB["mmcv"][0]):
        return
    from clipkit.engine.register import quiet_imports
    from clipkit.mmcv_ops import EXTENSION, Substitute, served

    with quiet_imports():
        import_module("mmcv.ops")
    extension = sys.modules[EXTENSION]
    if isinstance(extension, Substitute):
        missing = sorted(name for name, value in vars(extension).items() if hasattr(value, "clipkit_missing"))
        broken = "does not load" in extension.clipkit_why
        yield Finding(
            "operators",
            f"clipkit's, on torchvision and torch: {extension.clipkit_why}",
            "compile onedl-mmcv again for this torch, or uninstall it and install its plain wheel" if broken else "",
        )
        named = [name for name in served() if name not in ("get_compiler_version", "get_compiling_cuda_version")]
        yield Finding("", f"serve: {_families(named)}")
        yield Finding("", f"missing (they need a compiled onedl-mmcv): {_families(missing)}")
        return
    torch, ops = import_module("torch"), import_module("mmcv.ops")
    text = f"compiled, all of them: {extension.__file__}, CUDA {ops.get_compiling_cuda_version()}"
    set_aside = "CLIPKIT_MMCV_OPS=clipkit sets them aside for clipkit's; or compile onedl-mmcv for this torch and GPU"
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        try:
            ops.nms(torch.eye(2, 4, device=device), torch.ones(2, device=device), 0.5)
        except Exception as error:  # noqa: PERF203 (a module without this device, or for another GPU)
            yield Finding("operators", f"{text}; on {device} they do not run: {one_line(error, 120)}", set_aside)
            return
    yield Finding("operators", text)


def _others() -> Iterator[Finding]:
    there = _installed(OTHERS)
    yield Finding("others", ", ".join(f"{name} {there.get(name, '-')}" for name in OTHERS))


def _installed(names: Sequence[str]) -> dict[str, str]:
    """Distribution -> version, of those that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # noqa: PERF203
            continue
    return found


def _families(names: Sequence[str] | dict) -> str:
    """'roi_align, …' from 'roi_align_forward', 'roi_align_backward', …"""
    return ", ".join(sorted({name.partition("_forward")[0].partition("_backward")[0] for name in names}))


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the report; returns how many things are to be done, at most 1."""
    argparse.ArgumentParser(
        "clipkit doctor", description="Say what is installed, what is broken, and the one line that repairs it."
    ).parse_args(argv)
    todo = 0
    for finding in examine():
        print(f"{'!' if finding.advice else ' '} {finding.topic:12} {finding.text}", flush=True)
        if finding.advice:
            todo += 1
            print(f"{'':15}-> {finding.advice}", flush=True)
    print(f"{todo} to repair" if todo else "nothing to repair")
    return min(todo, 1)
