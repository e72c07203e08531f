"""Films in which order matters: pairs are each other's reverse, also after they were written and decoded."""

import json

import numpy as np
import pytest
import torch

from clipkit.data import Uniform, read_video
from clipkit.errors import ClipkitError
from clipkit.shapes import COLOURS, SHAPES, class_names, render_films, seen_mask
from clipkit.shapes._film_words import ACTIONS, TASKS, action_names
from clipkit.shapes.film_files import FPS, film_set, to_bytes, write_film
from clipkit.shapes.films import count_labels

PAIRED = [task for task in TASKS if task != "static"]


@pytest.mark.parametrize("task", TASKS)
def test_films_have_the_stated_form_and_come_back_equal(task):
    found = render_films(8, task, seed=3)
    assert found.frames.shape == (8, 16, 3, 64, 64) and found.frames.dtype == torch.float32
    assert found.frames.min() >= 0 and found.frames.max() <= 1
    assert found.labels.shape == (8,) and found.labels.dtype == torch.int64 and len(found.captions) == 8
    again = render_films(8, task, seed=3)
    assert torch.equal(again.frames, found.frames) and again.captions == found.captions
    assert not torch.equal(render_films(8, task, seed=4).frames, found.frames)


@pytest.mark.parametrize("task", PAIRED)
def test_a_pair_is_one_film_and_its_reverse_with_opposite_labels(task):
    found = render_films(40, task, seed=1)
    assert torch.equal(found.frames[0::2], found.frames[1::2].flip(1))
    assert (found.frames[0::2] != found.frames[1::2]).flatten(1).any(1).all()
    assert (found.labels[0::2] % 2 == 0).all() and torch.equal(found.labels[1::2], found.labels[0::2] + 1)
    assert set(found.labels.tolist()) == set(range(count_labels(task)))
    for one, other in zip(found.captions[0::2], found.captions[1::2]):
        assert one != other


def middle(frames):
    """Where the object is: the centre of what differs from the median frame, in pixels (x, y), per frame."""
    ground = frames.median(0).values
    weight = (frames - ground).abs().sum(1)
    axis = torch.arange(64.0)
    x, y = (weight.sum(1) * axis).sum(-1), (weight.sum(2) * axis).sum(-1)
    return torch.stack([x, y], -1) / weight.sum((1, 2))[:, None]


def test_directions_are_those_of_the_labels():
    found = render_films(24, "direction", seed=2)
    names = action_names("direction")
    assert names == ["moves left", "moves right", "moves up", "moves down"]
    for film, label in zip(found.frames, found.labels.tolist()):
        path = middle(film)
        moved = path[-1] - path[0]
        axis, sign = {0: (0, -1), 1: (0, 1), 2: (1, -1), 3: (1, 1)}[label]
        assert moved[axis] * sign > 25 and moved[1 - axis].abs() < 6


def test_speeding_up_changes_more_and_more_from_frame_to_frame():
    found = render_films(24, "speed", seed=2)
    for film, label in zip(found.frames, found.labels.tolist()):
        steps = (film[1:] - film[:-1]).abs().flatten(1).sum(1)
        early, late = steps[:7].sum(), steps[-7:].sum()
        assert late > 1.5 * early if label == 0 else early > 1.5 * late


def test_growing_and_appearing_show_more_and_more():
    found = render_films(24, "reversed", seed=2)
    for film, label in zip(found.frames, found.labels.tolist()):
        first, last = (film[0], film[-1]) if label % 2 == 0 else (film[-1], film[0])
        changed = ((film - first).abs().sum(1) > 0.15).flatten(1).sum(1)
        assert changed.max() > 60 and ((last - first).abs().sum(0) > 0.15).sum() == changed.max()


def test_order_shows_the_first_then_the_second():
    found = render_films(20, "order", seed=6)
    for film, label, caption in zip(found.frames, found.labels.tolist(), found.captions):
        for half in (film[:8], film[8:]):
            assert torch.equal(half, half[:1].expand_as(half))
        assert (film[7] != film[8]).any()
        assert label in (0, 1) and sum(f"{c} {s}" in caption for c in COLOURS for s in SHAPES) == 2


def test_static_films_rest_and_say_colour_and_shape():
    found = render_films(30, "static", seed=5)
    names = class_names()
    for film, label, caption in zip(found.frames, found.labels.tolist(), found.captions):
        assert torch.equal(film, film[:1].expand_as(film))
        assert names[label] in caption


@pytest.mark.parametrize("task", TASKS)
def test_captions_of_training_hold_no_unseen_wording(task):
    seen, unseen = (render_films(60, task, seed=9, words=words, frames=2).captions for words in ("seen", "unseen"))
    assert len(set(seen)) > 30
    if task in ACTIONS:
        for wordings in ACTIONS[task]:
            assert not any(wordings[-1] in text for text in seen) and any(wordings[-1] in text for text in unseen)
        assert not set(action_names(task)) & set(action_names(task, "unseen"))
    else:
        assert not any(" before " in text or " at rest" in text for text in seen)
        assert all(" before " in text or " at rest" in text for text in unseen)


def test_held_out_compositions_stay_out():
    seen = seen_mask("composition")
    for task in ("static", "order"):
        found = render_films(200, task, seed=1, subset="seen", frames=2)
        for caption in found.captions:
            told = [i for i, name in enumerate(class_names()[:96]) if name in caption]
            assert told and all(seen[i] for i in told), caption


def test_wrong_arguments_are_named():
    for arguments, word in (
        ((4, "sideways"), "direction"), ((3, "speed"), "pairs"), ((0, "static"), "not one"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=word):
            render_films(*arguments)
    with pytest.raises(ValueError, match="even"):
        render_films(2, "speed", frames=7)
    with pytest.raises(ValueError, match="known: seen, unseen"):
        render_films(2, "speed", words="all")
    with pytest.raises(ValueError, match="no actions"):
        action_names("order")


# ---------------------------------------------------------------------- as files


@pytest.mark.parametrize("backend", ["decord", "pyav"])
def test_a_film_and_its_reverse_hold_the_same_frames_after_decoding(tmp_path, backend):
    av = pytest.importorskip("av")
    found = render_films(2, "direction", seed=8)
    written = []
    for number, film in enumerate(found.frames):
        write_film(film, tmp_path / f"{number}.mkv")
        read = read_video(tmp_path / f"{number}.mkv", Uniform(16), backend=backend)
        np.testing.assert_array_equal(read.frames, to_bytes(film))
        np.testing.assert_allclose(read.timestamps, np.arange(16) / FPS, atol=1e-3)
        written.append(read)
        with av.open(str(tmp_path / f"{number}.mkv")) as film:
            assert all(packet.is_keyframe for packet in film.demux(video=0) if packet.size), "coded alone"
    np.testing.assert_array_equal(written[0].frames, written[1].frames[::-1])
    # Mirrored sampling: what Uniform takes of the reverse is the mirror of what it takes of the film.
    for n in (2, 6, 12):
        forward, backward = (read_video(tmp_path / f"{k}.mkv", Uniform(n), backend=backend) for k in (0, 1))
        np.testing.assert_array_equal(backward.indices, 15 - forward.indices[::-1])
        np.testing.assert_array_equal(backward.frames, forward.frames[::-1])


def test_a_film_set_is_made_once_and_is_complete_or_absent(tmp_path, monkeypatch):
    pytest.importorskip("av")
    folder = tmp_path / "work" / "films"
    made = film_set(folder, ["speed", "static"], 4, seed=2, frames=4)
    assert [film["task"] for film in made] == ["speed"] * 4 + ["static"] * 4
    assert [film["pair"] for film in made] == [0, 0, 2, 2, 4, 5, 6, 7]
    stamp = (folder / "manifest.jsonl").stat().st_mtime_ns
    assert film_set(folder, ["speed", "static"], 4, seed=2, frames=4) == made
    assert (folder / "manifest.jsonl").stat().st_mtime_ns == stamp
    for film in made:
        assert read_video(folder / film["file"], Uniform(4)).frames.shape == (4, 64, 64, 3)
    first, second = (read_video(folder / made[i]["file"], Uniform(4)).frames for i in (0, 1))
    np.testing.assert_array_equal(first, second[::-1])
    with pytest.raises(ClipkitError, match="seed is 2 there"):
        film_set(folder, ["speed", "static"], 4, seed=3, frames=4)
    (tmp_path / "other").mkdir()
    with pytest.raises(ClipkitError, match="holds no film set"):
        film_set(tmp_path / "other", ["speed"], 4)

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("clipkit.shapes.film_files.write_film", stop)
    with pytest.raises(KeyboardInterrupt):
        film_set(tmp_path / "killed", ["speed"], 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "work"]
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["seed"] == 2 and len(lines) == 9


@pytest.mark.parametrize("text", ["", "3", "[]\n{}", "{}\n{}", '{}\n{"file": "a"}', "[" * 5000, '{}\n{"file": 3}'])
def test_a_manifest_that_is_none_is_one_line(tmp_path, text):
    (tmp_path / "manifest.jsonl").write_text(text)
    with pytest.raises(ClipkitError, match="holds no film set"):
        film_set(tmp_path, ["static"], 2)
