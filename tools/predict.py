"""`python tools/predict.py …` is `clipkit predict …`."""

import sys

from clipkit.cli import run

if __name__ == "__main__":
    sys.exit(run("predict"))
