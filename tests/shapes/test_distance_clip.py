"""The shipped CLIP that learned distance words: by name, small enough to ship, and what it must not have forgotten."""

import json

import pytest

from clipkit.backbone import FrozenCLIP
from clipkit.shapes import distance_clip, tiny_clip
from clipkit.shapes.tiny import FOLDER

OWN = FOLDER.with_name("distance_clip")


def test_it_is_shipped_under_its_name():
    clip = FrozenCLIP.from_pretrained("distance_clip")
    assert clip.weights_hash == distance_clip().weights_hash != tiny_clip().weights_hash
    assert sum(path.stat().st_size for path in OWN.iterdir()) < 12 * 2**20


def test_its_numbers_are_told():
    told = json.loads((OWN / "metrics.json").read_text())
    assert told["composition"] > 90 and told["closeups"] > 70 and told["R@1"] > 80


@pytest.mark.slow
def test_it_reaches_its_numbers():
    from clipkit.shapes import evaluate

    told, found = json.loads((OWN / "metrics.json").read_text()), evaluate(distance_clip(), 250)
    for name in ("composition", "texture", "closeups", "stuff"):
        assert found[name] > told[name] - 6, name
