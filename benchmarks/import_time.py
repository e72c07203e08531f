"""How long imports take, each in a fresh process, interleaved: `python benchmarks/import_time.py [ROUNDS]`.

The bar: `import clipkit` at most twice `import open_clip`. Because clipkit loads its names lazily, the first use of
FrozenCLIP is measured too; it holds torch, timm and open_clip.
"""

import statistics
import subprocess
import sys

STATEMENTS = {
    "import open_clip": "import open_clip",
    "import clipkit": "import clipkit",
    "from clipkit import FrozenCLIP": "from clipkit import FrozenCLIP",
}
CODE = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


def main(rounds: int = 5) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(rounds + 1):
        for name, statement in STATEMENTS.items():
            done = subprocess.run([sys.executable, "-c", CODE.format(statement)], capture_output=True, text=True)
            seconds[name].append(float(done.stdout.split()[-1]))
    base = statistics.median(seconds["import open_clip"][1:])  # the first round warms the file cache
    for name, values in seconds.items():
        kept = sorted(values[1:])
        middle = statistics.median(kept)
        print(f"{name:32} median {middle:6.2f} s  ({kept[0]:.2f} to {kept[-1]:.2f})  {middle / base:.2f} × open_clip")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
