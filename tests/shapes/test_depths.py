"""Scenes with depth: what is near stands before what is far, size alone does not tell, and captions say how far."""

import pytest
import torch

from clipkit.evaluation.depth import rank_correlation
from clipkit.shapes.depths import DISTANCE_WORDS, DISTANCES, depth_scenes, depth_windows
from clipkit.shapes.render import HAZE, render


@pytest.fixture(scope="module")
def scenes():
    return depth_scenes(64, seed=3)


def test_depth_is_the_distance_of_what_is_seen(scenes):
    assert scenes.depth.shape == (64, 64, 64) and scenes.depth.dtype == torch.float32
    for i in range(64):
        for n in range(3):
            assert (scenes.depth[i][scenes.instances[i] == n + 1] == scenes.distance[i, n]).all()
    assert (scenes.depth[scenes.instances == 0] == 0).all()
    there = scenes.depth[scenes.depth > 0]
    assert there.min() >= 1 and there.max() <= 3
    assert (scenes.distance.diff(dim=1) <= 0).all()  # painted from far to near


def test_the_nearest_object_is_whole(scenes):
    whole = scenes.present.sum(1).clamp(min=1) - 1
    for i, last in enumerate(whole.tolist()):
        seen = (scenes.instances[i] == last + 1).sum()
        if scenes.present[i].sum() == scenes.present[i, : last + 1].sum():
            assert seen == scenes._area[i, last]


def test_size_alone_does_not_tell():
    alone = depth_scenes(512, seed=5, objects=(1, 1))
    own = alone.radius[:, 0] * alone.distance[:, 0] / (0.3 * 64)
    assert 0.64 < own.min() < 0.7 and 1.3 < own.max() < 1.36
    assert abs(rank_correlation(own, alone.distance[:, 0])) < 0.1
    assert -0.95 < rank_correlation(alone.radius[:, 0], alone.distance[:, 0]) < -0.7


def test_haze_takes_the_colour():
    """The same plain red circle near and far: far it is nearer to the colour of haze."""
    alone = depth_scenes(768, seed=6, objects=(1, 1))
    plain = (alone.texture[:, 0] == 0) & (alone.colour[:, 0] == 0)
    haze = torch.tensor(HAZE)
    away = [
        (float(alone.distance[i, 0]), float((alone.images[i][:, alone.instances[i] == 1].mean(1) - haze).norm()))
        for i in plain.nonzero().flatten().tolist()
    ]
    assert len(away) > 10
    assert rank_correlation(*torch.tensor(away).T) < -0.8


def test_captions_say_the_nearest_word(scenes):
    for caption, words, present in zip(scenes.captions, scenes.words.tolist(), scenes.present.tolist()):
        said = [DISTANCE_WORDS[word] for word, there in zip(words, present) if there]
        assert sum(caption.count(f" {word}") for word in {"close", "middle", "far"}) == len(said)
        assert all(word in caption for word in said) and "small" not in caption and "large" not in caption
    for metres, word in zip(DISTANCES, range(7)):
        scenes.distance[0, 0] = metres
        assert scenes.words[0, 0] == word


def test_spans_name_objects(scenes):
    for told in scenes.tell():
        for span in told.spans:
            if span.object is not None:
                assert span.attributes.get("shape") or told.text[span.start : span.end] == "object"


def test_equal_seeds_equal_scenes_and_old_scenes_stay():
    again = depth_scenes(8, seed=3)
    torch.testing.assert_close(again.images, depth_scenes(8, seed=3).images, rtol=0, atol=0)
    assert not torch.equal(again.images, depth_scenes(8, seed=4).images)
    # What `render` painted before there was haze, a sum to notice a change by.
    assert float(render(4, seed=11).images.double().sum()) == pytest.approx(15994.411, abs=1e-2)


@pytest.mark.parametrize("options", [dict(batch=0), dict(size=8), dict(objects=(3, 2))])
def test_bad_arguments(options):
    with pytest.raises(ValueError, match="scenes of"):
        depth_scenes(**{"batch": 2, **options})


def test_windows_hold_a_part_of_the_object_at_its_own_scale():
    images, captions = depth_windows(16, seed=2)
    alone = depth_scenes(16, seed=2, objects=(1, 1))
    assert images.shape == (16, 3, 32, 32)
    for image, caption, whole, word in zip(images, captions, alone.images, alone.words[:, 0].tolist()):
        places = whole.unfold(1, 32, 1).unfold(2, 32, 1).permute(1, 2, 0, 3, 4)
        assert (places == image).flatten(2).all(2).any()
        assert caption == f"this object is {DISTANCE_WORDS[word]}"
