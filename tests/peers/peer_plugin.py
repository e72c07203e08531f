"""A pytest plugin that `run.py` gives to another project's tests: imports clipkit before them, and writes down what
became of each test, a JSON object a line."""

import json
import re
import socket
from importlib import import_module
from pathlib import Path

import pytest

import clipkit.engine  # noqa: F401  (before mmcv, mmdet and mmseg)
from clipkit.errors import ClipkitError, one_line

NO_CUDA = re.compile(r"not compiled with CUDA|NVIDIA driver|No CUDA GPUs|CUDA is not available|CUDA device")
CUDA_REASON = re.compile(r"cuda|gpu", re.IGNORECASE)
HERE = {None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname()}

asked_network = False
getaddrinfo = socket.getaddrinfo


def closed_getaddrinfo(host, *args, **kwargs):
    """So that the table is the same with and without a network."""
    global asked_network
    if (host.decode() if isinstance(host, bytes) else host) in HERE:
        return getaddrinfo(host, *args, **kwargs)
    asked_network = True
    raise OSError(f"no network while the tests of others run (asked for {host})")


def pytest_addoption(parser):
    parser.addoption("--peer", help="the package under test: mmcv, mmdet or mmseg")
    parser.addoption("--peer-checkout", type=Path)
    parser.addoption("--peer-report", type=Path)


def pytest_configure(config):
    socket.getaddrinfo = closed_getaddrinfo
    # The installed package, before a checkout's own can come into its place by way of sys.path.
    import_module(config.getoption("--peer"))
    if config.getoption("--peer") == "mmdet":
        import_module("mmdet.testing._utils")._get_config_directory = lambda: str(
            config.getoption("--peer-checkout") / "configs"
        )


def record(config, test, kind, why=""):
    with config.getoption("--peer-report").open("a") as report:
        report.write(json.dumps({"test": test, "kind": kind, "why": one_line(why, 200) if why else ""}) + "\n")


def kind_of(error):
    """Why a test failed: refused by clipkit, for want of something, or simply failed."""
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    if any(isinstance(link, ClipkitError) for link in chain):
        return "refused"
    if asked_network:
        return "needs network"
    if any(NO_CUDA.search(str(link)) for link in chain):
        return "needs CUDA"
    return "needs other" if isinstance(chain[0], ModuleNotFoundError) else "failed"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    global asked_network
    asked_network = False
    record(item.config, item.nodeid, "started")
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(call.excinfo.value)
        record(item.config, item.nodeid, "needs CUDA" if CUDA_REASON.search(reason) else "needs other", reason)
    elif report.failed:
        record(item.config, item.nodeid, kind_of(call.excinfo.value), call.excinfo.exconly())
    elif report.when == "call":
        record(item.config, item.nodeid, "passed")


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    report = (yield).get_result()
    if report.failed:
        text = str(report.longrepr).strip().splitlines()[-1].removeprefix("E ").strip()
        kind = "needs other" if "ModuleNotFoundError" in text else "failed"
        record(collector.config, collector.nodeid, "refused" if "ClipkitError" in text else kind, text)
    elif report.skipped:
        reason = str(report.longrepr[2])
        kind = "needs CUDA" if CUDA_REASON.search(reason) else "needs other"
        record(collector.config, collector.nodeid, kind, reason)
