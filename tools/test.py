"""`python tools/test.py …` is `clipkit test …`."""

import sys

from clipkit.cli import run

if __name__ == "__main__":
    sys.exit(run("test"))
