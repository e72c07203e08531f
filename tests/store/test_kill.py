import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and file locks")


# 25 kills take 5 s on an idle machine; most of it is waiting for the disk.
@pytest.mark.parametrize("kills", [8, pytest.param(25, marks=pytest.mark.slow)])
def test_killed_builds_end_byte_identical_and_redo_at_most_one_shard_a_process(tmp_path, kills):
    harness = Path(__file__).parents[1] / "support" / "store_kills.py"
    done = subprocess.run(
        [sys.executable, str(harness), str(tmp_path), str(kills), "7"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    trials = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(trials) == kills
    for trial in trials:
        assert trial["codes"] == [0] * trial["processes"], trial
        assert trial["identical"], trial
        assert trial["redone"] <= trial["processes"], trial
    # The test means something only if kills came in the middle, and if work was lost to be redone.
    assert sum(0 < trial["left"] < 15 for trial in trials) >= kills // 4
    assert {trial["processes"] for trial in trials} == {1, 2, 3, 4}
    assert sum(trial["redone"] for trial in trials) > 0
