"""kill -9 of a data loader's worker: one line and exit code 2.

Run it from the project's root; it exits non-zero while that goes wrong. The model that it trains is in tests/support.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUPPORT = os.path.abspath("tests")
sys.path.insert(0, SUPPORT)
from support import tiny_parts  # noqa: E402

folder = Path(tempfile.mkdtemp())
(folder / "t.py").write_text(tiny_parts.CONFIG)
options = [
    "train_dataloader.num_workers=2",
    "train_dataloader.persistent_workers=True",
    "train_cfg.max_iters=100000",
    "param_scheduler.0.end=100000",
]
command = [sys.executable, "-m", "clipkit", "train", "t.py", "--work-dir", "w", "--cfg-options", *options]
env = {**os.environ, "PYTHONPATH": SUPPORT + ":" + os.environ.get("PYTHONPATH", "")}
run = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
start = time.monotonic()
while time.monotonic() - start < 120 and not list(folder.glob("w/iter_*.pth")):
    time.sleep(0.2)
children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(run.pid)], capture_output=True, text=True).stdout.split()
os.kill(int(children[0]), signal.SIGKILL)
try:
    said = run.communicate(timeout=60)[0]
except subprocess.TimeoutExpired:
    run.kill()
    said = "HANGS"
print("rc", run.returncode, "|", (said.strip().splitlines() or [""])[-1][:150])
sys.exit("Traceback" in said or said == "HANGS" or run.returncode != 2)
