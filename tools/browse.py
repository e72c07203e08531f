"""`python tools/browse.py …` is `clipkit browse …`."""

import sys

from clipkit.cli import run

if __name__ == "__main__":
    sys.exit(run("browse"))
