"""`clipkit try` with a CLIP of the hub: fetched once, with a word about it, then without any network."""

import os
import subprocess
import sys
from pathlib import Path

import open_clip
import torch

from clipkit.backbone import FrozenCLIP, save_open_clip_folder
from support.backbone_models import OPEN_VIT
from support.hub import serve_hub

SCENE = Path(__file__).parents[2] / "examples" / "scene.png"
CONFIG = {
    "embed_dim": 24,
    "vision_cfg": OPEN_VIT,
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def run(folder: Path, name: str, *, command: tuple = (), **changes: str) -> subprocess.CompletedProcess:
    free = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and not k.lower().endswith("_proxy")}
    given = {**free, "HF_HOME": str(folder / "cache"), "HF_HUB_DISABLE_TELEMETRY": "1", **changes}
    arguments = [*(command or ("try", SCENE, "star, grass", "--out", folder)), "--clip", name]
    whole = [sys.executable, "-m", "clipkit", *map(str, arguments)]
    return subprocess.run(whole, capture_output=True, text=True, check=False, env=given, timeout=300)


def test_a_clip_is_fetched_once_and_then_used_offline(tmp_path):
    torch.manual_seed(0)
    clip = FrozenCLIP(open_clip.model.CLIP(**CONFIG), name="small", model_cfg=CONFIG)
    save_open_clip_folder(clip, tmp_path / "served")
    with serve_hub("someone/small", tmp_path / "served") as (address, fetched):
        first = run(tmp_path, "hf-hub:someone/small", HF_ENDPOINT=address)
        assert first.returncode == 0, first.stderr
        said = f"fetching hf-hub:someone/small from {address}/someone/small (licence: see its model card), once"
        assert said in first.stderr
        where = next(line for line in first.stderr.splitlines() if line.endswith(" MiB"))
        assert Path(where.rpartition(":")[0]).is_file() and str(tmp_path / "cache") in where
        assert sorted(fetched) == ["open_clip_config.json", "open_clip_model.safetensors"]
    picture = tmp_path / "scene_try.png"
    before = picture.read_bytes()
    picture.unlink()
    index = tmp_path / "index"
    with serve_hub("someone/small", tmp_path / "served") as (address, fetched):  # another command, another machine
        again = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "new")}
        indexed = run(tmp_path, "hf-hub:someone/small", command=("search", "index", SCENE, "--out", index), **again)
        assert (
            indexed.returncode == 0
            and "fetching" not in indexed.stdout
            and indexed.stderr.count("fetching hf-hub:someone/small from ") == 1
        )
    second = run(tmp_path, "hf-hub:someone/small", HF_HUB_OFFLINE="1")
    assert second.returncode == 0, second.stderr
    assert "fetching" not in second.stderr and picture.read_bytes() == before


def test_what_cannot_be_fetched_ends_in_one_line(tmp_path):
    done = run(tmp_path, "hf-hub:someone/small", HF_HUB_OFFLINE="1")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].count("hf-hub:someone/small") == 1
