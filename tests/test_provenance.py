"""Where a number comes from."""

import subprocess
from pathlib import Path

import pytest

from clipkit.provenance import commit, hardware

ROOT = Path(__file__).parents[1]


def test_the_commit_is_that_of_this_checkout():
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert head.stdout.startswith(commit().rstrip("+")) and len(commit()) >= 12


def test_the_processor_is_named_with_its_cores():
    assert " cores of " in hardware("cpu") and "torch " in hardware("cpu")
