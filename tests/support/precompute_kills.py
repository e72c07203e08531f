"""Kills `clipkit precompute` at random moments; run as a script, prints one JSON line a trial. The command runs whole,
in forks of this process, so that a start costs milliseconds and not the import of torch."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from PIL import Image

from clipkit import cli
from clipkit.embed import regions as embed_regions
from clipkit.shapes import render

SHARDS = 12
embed_regions.SHARD = embed_regions.BATCH = 3  # many shards of few images


def arguments(root: Path, out: Path) -> list[str]:
    boxes = ["--proposals", str(root / "proposals.json"), "--max-boxes", "6"]
    return [str(root / "images"), "--out", str(out), *boxes, "--clip", "tiny_clip", "--precision", "fp32"]


def start(root: Path, out: Path, world: int) -> list[int]:
    pids = []
    for rank in range(world):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.environ.update(RANK=str(rank), WORLD_SIZE=str(world))
                code = cli.run("precompute", arguments(root, out))
            finally:
                os._exit(code)
        pids.append(pid)
    return pids


def wait(pids: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def main(root: Path, kills: int, seed: int) -> None:
    answers = os.dup(1)
    os.dup2(2, 1)  # what the command prints is not a line of a trial
    torch.set_num_threads(1)  # a pool of threads would not survive the fork
    rng = random.Random(seed)
    (root / "images").mkdir()
    boxes = {}
    pictures = (render(3 * SHARDS, size=96, seed=1).images * 255).round().byte().movedim(1, -1).numpy()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(root / "images" / f"{number:03d}.png")
        corners = [(rng.randrange(40), rng.randrange(40)) for _ in range(rng.randrange(9))]
        boxes[f"{number:03d}.png"] = {"boxes": [[x, y, x + 30, y + 40] for x, y in corners]}
    (root / "proposals.json").write_text(json.dumps(boxes))
    assert wait(start(root, root / "whole", 1)) == [0]
    expected = tree(root / "whole")
    for trial in range(kills):
        world = trial % 2 + 1
        out = root / f"store-{trial}"
        pids = start(root, out, world)
        # A random moment of a random shard; waiting for progress keeps the kills in the run on a slow machine too.
        target = rng.randrange(SHARDS)
        while len(list(out.glob("shard-*.safetensors"))) < target:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.1))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait(pids)
        left = SHARDS - len(list(out.glob("shard-*.safetensors")))
        codes = wait(start(root, out, world))
        trial_line = {"processes": world, "left": left, "codes": codes, "identical": tree(out) == expected}
        os.write(answers, (json.dumps(trial_line) + "\n").encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
