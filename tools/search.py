"""`python tools/search.py …` is `clipkit search …`."""

import sys

from clipkit.cli import run

if __name__ == "__main__":
    sys.exit(run("search"))
