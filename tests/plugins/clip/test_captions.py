"""What the pretraining's batches hold in turn."""

from clipkit.engine.plugins import load_plugins
from clipkit.engine.registry import DATASETS
from clipkit.shapes.closeups import closeups
from clipkit.shapes.depths import depth_scenes, depth_windows


def test_distances_and_windows_follow_the_close_ups():
    load_plugins("clip")
    items = DATASETS.build(dict(type="ShapesCaptions", batch=3, closeups=1, distances=1, windows=(32, 16)))
    for cycle in range(4):
        start = 5 * cycle
        assert not any("object is" in text for text in items[start]["texts"])
        assert items[start + 1]["texts"] == closeups(3, seed=start + 1)[1]
        objects = (1, 1) if (cycle + 2) % 3 else (2, 3)
        assert items[start + 2]["texts"] == depth_scenes(3, seed=start + 2, objects=objects).captions
        for place, side in ((start + 3, 32), (start + 4, 16)):
            assert items[place]["texts"] == depth_windows(3, seed=place)[1]
            assert items[place]["images"].shape == (3, 3, side, side)
    old = DATASETS.build(dict(type="ShapesCaptions", batch=3, warmup=2, closeups=1))
    assert old[3]["texts"] == closeups(3, seed=3)[1] and old[2]["images"].shape[-1] == 64
