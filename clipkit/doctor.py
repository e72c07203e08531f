"""`python -m clipkit.doctor`, the same as `clipkit doctor`: what works here, what does not, and what to do about it."""

import sys

from clipkit.cli import run

if __name__ == "__main__":
    sys.exit(run("doctor"))
