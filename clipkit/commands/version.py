"""`clipkit version`: what a bug report names first. It imports none of what it names; `clipkit doctor` does."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from clipkit import __version__

PACKAGES = {"torch": "torch", "open_clip": "open_clip_torch"}  # as it is imported -> as it is installed


def parser() -> argparse.ArgumentParser:
    """The command line of `clipkit version`."""
    return argparse.ArgumentParser(
        prog="clipkit version", description="Print the versions of clipkit, Python, torch and open_clip."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Prints; returns 0."""
    parser().parse_args(argv)
    print(f"clipkit {__version__}\npython {platform.python_version()}")
    for name, distribution in PACKAGES.items():
        try:
            print(name, version(distribution))
        except PackageNotFoundError:  # noqa: PERF203
            print(name, "not installed")
    return 0
