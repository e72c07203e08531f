"""A trained model as a folder that anybody can open: nothing in it runs, and its scores are the same to the bit.

    python examples/share_a_model.py

About a minute on a CPU, no download: LSeg is trained for some steps in the embedded world (few, so that its scores are
low), bundled, opened as a stranger would, and a bundle that was tampered with is refused.
"""

import json
import tempfile
from pathlib import Path

from clipkit.engine import Segmenter, build_runner
from clipkit.errors import ClipkitError
from clipkit.shapes import render

STEPS = 40
folder = Path(tempfile.mkdtemp())

# `clipkit train lseg/lseg_tiny_shapes.py --work-dir …`
options = {"train_cfg.max_iters": STEPS, "train_cfg.val_interval": STEPS, "val_dataloader.dataset.length": 64}
runner = build_runner("lseg/lseg_tiny_shapes.py", work_dir=folder / "work", cfg_options=options)
runner.train()

# `clipkit bundle WORK_DIR OUT`, and `--push me/shapes` for Hugging Face
mine = Segmenter.load(str(folder / "work"))
bundle = mine.save_pretrained(folder / "shapes", licence="cc-by-4.0")
for file in sorted(bundle.iterdir()):
    print(f"{file.name}: {file.stat().st_size / 1024:.0f} KiB")
print((bundle / "README.md").read_text().partition("## Scores")[2].partition("##")[0].strip())

# Somebody else: a folder, or "hf-hub:me/shapes".
theirs = Segmenter.from_pretrained(bundle)
scenes = render(16, seed=99).images
same = sum(bool((mine(scene).scores == theirs(scene).scores).all()) for scene in scenes)
print(f"pictures whose scores are the same to the bit: {100 * same / len(scenes):.1f} %")

# A change is seen by its sum; one whose sum was made anew, by the list of types that a config may name.
index = json.loads((bundle / "bundle.json").read_text())
index["config"]["model"]["type"] = "os.system"
(bundle / "bundle.json").write_text(json.dumps(index))
try:
    Segmenter.from_pretrained(bundle)
except ClipkitError as error:
    print(f"refused: {str(error).removeprefix(str(folder))}")
