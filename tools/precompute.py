"""`python tools/precompute.py …` is `clipkit precompute …`."""

import sys

from clipkit.cli import run

if __name__ == "__main__":
    sys.exit(run("precompute"))
