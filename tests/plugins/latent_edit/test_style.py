"""Edits in a generator's latents: what moving costs, that words move them, and the ways that are one for all."""

import numpy as np
import pytest
import torch
from clipkit_plugins.latent_edit.edit import edit_picture
from clipkit_plugins.latent_edit.style import (
    StyleLatents,
    channel_directions,
    distance_moved,
    edit_latents,
    global_direction,
    rise_and_fall,
)

from clipkit.engine.build import build_runner
from clipkit.errors import ClipkitError
from clipkit.shapes import tiny_clip
from clipkit.shapes.soft import FACTORS, SoftScenes


@pytest.fixture(scope="module")
def clip():
    return tiny_clip()


@pytest.fixture(scope="module")
def scene():
    return SoftScenes(1, seed=11)


def test_what_moving_costs(scene):
    g = torch.Generator().manual_seed(0)
    latents = scene.start + torch.randn(3, 19, generator=g) * scene.spread
    found = distance_moved(scene, latents, scene.start, "factors", half=0.3)
    squares = distance_moved(scene, latents, scene.start, "squares")
    for row in range(3):
        z = [(float(a) - float(b)) / float(s) for a, b, s in zip(latents[row], scene.start[0], scene.spread)]
        far = [sum(v * v for v in z[channels]) for channels in FACTORS.values()]
        assert float(found[row]) == pytest.approx(sum(q / (0.3 + q) for q in far), rel=1e-4)
        assert float(squares[row]) == pytest.approx(sum(far), rel=1e-4)
    with pytest.raises(ClipkitError, match="factors, squares"):
        distance_moved(scene, latents, scene.start, "all")


def test_the_rate_rises_and_falls():
    shares = np.linspace(0, 0.999, 100)
    rates = [rise_and_fall(share) for share in shares]
    assert rates[0] == 0.05 and max(rates) == 1 and rates[-1] < 0.01
    assert (np.diff(rates[50:]) <= 0).all()


def test_latents_are_moved_in_the_generators_unit(scene):
    latents = StyleLatents(scene, scene.start)
    with torch.no_grad():
        latents.moved[0, 0] = 2.0
        latents.moved[0, 4] = -100.0
    latents.clamp_()
    now = latents.latents().detach()
    assert now[0, 0] <= 1 and abs(float(now[0, 4])) < 1e-5
    torch.testing.assert_close(latents.decode(), scene(latents.latents()))


def test_words_move_latents(clip, scene):
    named = scene.named(scene.start)
    edited = edit_latents(
        clip,
        scene,
        scene.start,
        "a blue star",
        "a red star",
        draws=6,
        restarts=2,
        steps=6,
        every=2,
        jittered=["colour"],
    )
    assert edited.latents.shape == (1, 19) and edited.tries.shape == (2, 19) and edited.found.steps == 6
    first = edit_latents(clip, scene, scene.start, "a blue star", "a red star", draws=1, restarts=1, steps=1)
    assert edited.loss < first.loss and int(scene.named(edited.latents)["shape"]) == int(named["shape"])
    torch.testing.assert_close(edited.picture, scene(edited.latents))
    with pytest.raises(ClipkitError, match="no factor size; known: colour, radius"):
        edit_latents(clip, scene, scene.start, "a", "b", jittered=["size"])


def test_a_stopped_edit_goes_on_bit_for_bit(clip, scene, tmp_path):
    options = dict(draws=4, restarts=2, every=2)
    whole = edit_latents(clip, scene, scene.start, "a ring", "a star", steps=6, **options)

    class StoppedError(Exception):
        pass

    def stop(share):
        if share > 0.5:
            raise StoppedError
        return rise_and_fall(share)

    path = tmp_path / "edit.pth"
    with pytest.raises(StoppedError):
        edit_latents(clip, scene, scene.start, "a ring", "a star", steps=6, checkpoint=path, schedule=stop, **options)
    again = edit_latents(clip, scene, scene.start, "a ring", "a star", steps=6, checkpoint=path, **options)
    assert torch.equal(whole.tries, again.tries) and torch.equal(whole.picture, again.picture)


def test_channels_move_as_far_as_they_agree(clip, scene):
    """Against a loop over pictures and channels, in float64 after CLIP."""
    scenes = SoftScenes(2, seed=3)
    found = channel_directions(clip, scenes, scenes.start, step=0.5)
    assert found.shape == (19, clip.embed_dim)
    for channel in (0, 3, 9):
        rows = []
        for picture in range(2):
            ends = []
            for sign in (1, -1):
                latents = scenes.start.clone()
                latents[picture, channel] += sign * 0.5 * scenes.spread[channel]
                ends.append(clip.encode_image(scenes(latents))[picture].double().numpy())
            rows.append((ends[0] - ends[1]) / np.linalg.norm(ends[0] - ends[1]))
        np.testing.assert_allclose(found[channel].numpy(), np.mean(rows, 0), atol=1e-4)
    words = (clip.encode_text(["a blue star"]) - clip.encode_text(["a red star"]))[0].double().numpy()
    part = found.double().numpy() @ (words / np.linalg.norm(words))
    part[np.abs(part) < 0.05] = 0
    way = global_direction(clip, found, scenes.spread, "a blue star", "a red star", threshold=0.05)
    np.testing.assert_allclose(way.numpy(), part / np.abs(part).max() * scenes.spread.numpy(), atol=1e-4)
    with pytest.raises(ClipkitError, match="lower the threshold"):
        global_direction(clip, found, scenes.spread, "a blue star", "a red star", threshold=2.0)


@pytest.mark.parametrize("way", ["pixels", "fourier"])
def test_pictures_move_towards_words(clip, scene, way):
    picture = scene.scenes.images
    edited, found = edit_picture(clip, picture, "a blue star", "a red star", way=way, steps=8, every=2, copies=2)
    assert edited.shape == picture.shape and found.history[-1] < 0.9  # it begins at 1: nothing has moved
    near, _ = edit_picture(
        clip, picture, "a blue star", "a red star", way=way, steps=8, every=2, copies=2, keep_weight=1e4
    )
    assert (near - picture).abs().mean() < (edited - picture).abs().mean()


def test_wrong_ways_are_told(clip, scene):
    with pytest.raises(ClipkitError, match='"fourrier" is unknown; did you mean "fourier"'):
        edit_picture(clip, scene.scenes.images, "a", "b", way="fourrier")
    with pytest.raises(ClipkitError, match="needs a model"):
        edit_picture(clip, scene.scenes.images, "a", "b", way="vq")


@pytest.mark.parametrize(
    ("config", "options", "expected"),
    [
        ("latent_edit/latent_edit_tiny_shapes.py", {"model.draws": 2, "model.steps": 1}, "kept_place"),
        (
            "latent_edit/latent_edit_tiny_shapes.py",
            {"model.way": "direction", "model.scenes": 1, "variables.what": "colour"},
            "kept_shape",
        ),
        ("latent_edit/latent_edit_tiny_shapes_pictures.py", {"model.steps": 1}, "outside"),
    ],
)
def test_configs_measure(tmp_path, config, options, expected):
    runner = build_runner(
        config, work_dir=tmp_path, cfg_options={"test_dataloader.dataset.length": 2, **options}, for_training=False
    )
    scores = runner.test()
    assert 0 <= scores["named"] <= 100 and expected in scores
