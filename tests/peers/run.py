"""Runs the tests of mmcv, mmdet or mmseg, from a checkout of theirs, on clipkit's operators, and prints a table.

    python tests/peers/run.py CHECKOUT [--only test_nms] [--timeout 600]

Tested are the installed packages; the checkout gives its tests (mmcv's operators, mmdet's and mmseg's models) and
configs, so take the tag that is nearest to what is installed. One process for each file, without network. "needs other"
are tests for other hardware than CUDA's and for packages that are not installed. Exit code 1 if a test failed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.metadata import packages_distributions, version
from pathlib import Path

TESTS = {"mmcv": "tests/test_ops", "mmdet": "tests/test_models", "mmseg": "tests/test_models"}
KINDS = ("passed", "failed", "refused", "needs network", "needs CUDA", "needs other")
PYTEST_FOUND_NO_TESTS = 5


def peer_in(checkout: Path) -> str:
    for name, tests in TESTS.items():
        if (checkout / name).is_dir() and (checkout / tests).is_dir():
            return name
    sys.exit(f"{checkout}: no checkout of mmcv, mmdet or mmseg with its tests")


def run_file(file: Path, checkout: Path, peer: str, timeout: float) -> dict[str, tuple[str, str]]:
    """Test -> what became of it and why."""
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        report, settings = Path(folder) / "report", Path(folder) / "pytest.ini"
        report.touch()
        settings.write_text("[pytest]\n")
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "peer_plugin"]
        command += ["-c", str(settings), "--rootdir", str(checkout), "--peer", peer, "--peer-checkout", str(checkout)]
        command += ["--peer-report", str(report), str(file)]
        # -P and this path: the installed mmcv, mmdet and mmseg, not the checkout's folders of these names.
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(here)}
        try:
            done = subprocess.run(
                command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=timeout
            )
            code, ended = done.returncode, f"the process ended with code {done.returncode}"
            ended += "".join(f": {line}" for line in (done.stderr or done.stdout).strip().splitlines()[-1:])
        except subprocess.TimeoutExpired:
            code, ended = -1, f"not done after {timeout:g} seconds"
        found: dict[str, tuple[str, str]] = {}
        for line in report.read_text().splitlines():
            row = json.loads(line)
            if row["kind"] == "started":
                found[row["test"]] = "failed", ended
            elif found.get(row["test"], ("passed",))[0] == "passed" or found[row["test"]][1] == ended:
                found[row["test"]] = row["kind"], row["why"]
    if not found and code not in (0, PYTEST_FOUND_NO_TESTS):
        found[str(file.relative_to(checkout))] = "failed", ended
    return found


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
    parser.add_argument("--timeout", type=float, default=600, help="seconds for each file")
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    peer = peer_in(checkout)
    results: dict[str, tuple[str, str]] = {}
    for file in sorted((checkout / TESTS[peer]).rglob("test_*.py")):
        if options.only in str(file.relative_to(checkout)):
            print(file.relative_to(checkout), file=sys.stderr, flush=True)
            results.update(run_file(file, checkout, peer, options.timeout))
    print(table(peer, results))
    return int(any(kind == "failed" for kind, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main())
