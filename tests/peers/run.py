"""Runs the tests of mmcv, mmdet or mmseg, from a checkout of theirs, on clipkit's operators, and prints a table.

    python tests/peers/run.py CHECKOUT [--only test_nms] [--patience 600]

Tested are the installed packages; the checkout gives its tests (mmcv's operators, mmdet's and mmseg's models) and
configs, so take the tag that is nearest to what is installed. "needs other" are tests for other hardware than
CUDA's and for packages that are not installed. Nothing is fetched. Exit code 1 if a test failed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import packages_distributions, version
from pathlib import Path

TESTS = {"mmcv": "tests/test_ops", "mmdet": "tests/test_models", "mmseg": "tests/test_models"}
KINDS = ("passed", "failed", "refused", "needs network", "needs CUDA", "needs other")
TO_START = 600  # seconds in which the first test has to begin: all tests are imported before
PYTEST_DONE = (0, 1, 5)  # all passed, some failed, none there


def peer_in(checkout: Path) -> str:
    for name, tests in TESTS.items():
        if (checkout / name).is_dir() and (checkout / tests).is_dir():
            return name
    sys.exit(f"{checkout}: no checkout of mmcv, mmdet or mmseg with its tests")


def run(checkout: Path, peer: str, files: list[Path], patience: float) -> dict[str, tuple[str, str]]:
    """Test -> what became of it and why. A test that ends its process, or hangs, has failed; a new process goes on
    behind it."""
    found: dict[str, tuple[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        report, settings, output = (Path(folder) / name for name in ("report", "pytest.ini", "output"))
        report.touch()
        settings.write_text("[pytest]\n")
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "peer_plugin"]
        command += ["-c", str(settings), "--rootdir", str(checkout), "--continue-on-collection-errors"]
        command += ["--peer", peer, "--peer-checkout", str(checkout), "--peer-report", str(report), *map(str, files)]
        # -P and this path: the installed mmcv, mmdet and mmseg, not the checkout's folders of these names.
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        while True:
            before = len(found)
            with (
                output.open("w") as log,
                subprocess.Popen(
                    command, cwd=checkout, env=environment, stdout=log, stderr=subprocess.STDOUT
                ) as process,
            ):
                code = wait(process, report, patience)
            last = "".join(f": {line}" for line in output.read_text(errors="replace").strip().splitlines()[-1:])
            ended = f"hung for {patience:g} seconds" if code is None else f"the process ended with code {code}{last}"
            for line in report.read_text().splitlines():
                row = json.loads(line)
                if found.get(row["test"], ("started",))[0] in ("started", "passed"):  # a fixture may still fail
                    found[row["test"]] = row["kind"], row["why"]
            found = {
                test: ("failed", ended) if kind == "started" else (kind, why) for test, (kind, why) in found.items()
            }
            if code in PYTEST_DONE:
                return found
            if len(found) == before:
                return {**found, str(checkout): ("failed", ended)}


def wait(process: subprocess.Popen, report: Path, patience: float) -> int | None:
    """The exit code; None for a process that was killed, because its report had not grown for so many seconds."""
    first = size = report.stat().st_size
    since = time.monotonic()
    while process.poll() is None:
        if report.stat().st_size != size:
            size, since = report.stat().st_size, time.monotonic()
        if time.monotonic() - since > (max(patience, TO_START) if size == first else patience):
            process.kill()
            return None
        time.sleep(0.2)
    return process.returncode


def table(peer: str, results: dict[str, tuple[str, str]]) -> str:
    counts = Counter(kind for kind, _ in results.values())
    ran = sum(counts[kind] for kind in ("passed", "failed", "refused"))
    package = next((name for name in packages_distributions().get(peer, ())), peer)
    lines = [
        "| tests of | ran | " + " | ".join(KINDS) + " |",
        "|---" * (len(KINDS) + 2) + "|",
        f"| {package} {version(package)} | {ran} | " + " | ".join(str(counts[kind]) for kind in KINDS) + " |",
    ]
    for named in ("failed", "refused"):
        lines += [f"{kind}: {test}: {why}" for test, (kind, why) in results.items() if kind == named]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--only", default="", help="files whose path has this in it")
    parser.add_argument("--patience", type=float, default=600, help="seconds after which a test that runs is killed")
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    peer = peer_in(checkout)
    files = sorted((checkout / TESTS[peer]).rglob("test_*.py"))
    files = [file for file in files if options.only in str(file.relative_to(checkout))]
    results = run(checkout, peer, files, options.patience)
    print(table(peer, results))
    return int(any(kind == "failed" for kind, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main())
