"""`python tools/claim.py …` is `clipkit claim …`."""

import sys

from clipkit.cli import run

if __name__ == "__main__":
    sys.exit(run("claim"))
