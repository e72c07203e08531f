"""`python tools/embed.py …` is `clipkit embed …`."""

import sys

from clipkit.cli import run

if __name__ == "__main__":
    sys.exit(run("embed"))
