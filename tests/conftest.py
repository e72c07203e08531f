"""Shared fixtures: where real data lies; options of the fuzzer."""

import os
from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--fuzz-cases", type=int, default=None, help="damaged files a reader (tests/fuzz)")
    parser.addoption("--fuzz-seed", type=int, default=0, help="which damage")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """`$CLIPKIT_DATA`, or the `shared/data` folder beside the checkout; the test says so when it skips."""
    candidates = [os.environ.get("CLIPKIT_DATA"), Path(__file__).parents[2] / "shared" / "data"]
    for candidate in candidates:
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    pytest.skip("no real data: set CLIPKIT_DATA to a folder with camvid/, clip_text/, images/")
