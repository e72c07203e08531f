"""`python tools/frames.py …` is `clipkit frames …`."""

import sys

from clipkit.cli import run

if __name__ == "__main__":
    sys.exit(run("frames"))
