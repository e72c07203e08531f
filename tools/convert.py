"""`python tools/convert.py …` is `clipkit convert …`."""

import sys

from clipkit.cli import run

if __name__ == "__main__":
    sys.exit(run("convert"))
