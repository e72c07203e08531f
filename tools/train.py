"""`python tools/train.py …` is `clipkit train …`."""

import sys

from clipkit.cli import run

if __name__ == "__main__":
    sys.exit(run("train"))
