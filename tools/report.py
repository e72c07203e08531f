"""`python tools/report.py …` is `clipkit report …`."""

import sys

from clipkit.cli import run

if __name__ == "__main__":
    sys.exit(run("report"))
