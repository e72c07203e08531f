"""Stories: events in a row, pairs that share their frames, and files that are made once."""

from itertools import pairwise

import pytest
import torch

from clipkit.data import Fps, read_video
from clipkit.errors import ClipkitError
from clipkit.shapes import film_set, story_set
from clipkit.shapes.stories import EVENTS, FPS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stories") / "made"
    return folder, story_set(folder, 4, seed=3)


def test_events_follow_each_other_for_32_to_64_seconds(made):
    _, stories = made
    assert len(stories) == 4
    for events in stories:
        assert len(events) == EVENTS and events[0]["start"] == 0 and 32 <= events[-1]["end"] <= 64
        assert all(one["end"] == other["start"] for one, other in pairwise(events))


def test_a_story_and_the_next_are_each_others_events_backwards(made):
    pytest.importorskip("av")
    folder, stories = made
    for first, second in zip(stories[::2], stories[1::2]):
        one, other = (torch.tensor(read_video(folder / own[0]["file"], Fps(FPS)).frames) for own in (first, second))
        assert len(one) == len(other) == FPS * first[-1]["end"]
        for event, reverse in zip(first, second):
            assert (event["task"], event["pair"], event["start"]) == (
                reverse["task"],
                reverse["pair"],
                reverse["start"],
            )
            part = slice(FPS * event["start"], FPS * event["end"])
            assert torch.equal(one[part], other[part].flip(0)) == (event["task"] != "static")
            assert event["task"] == "static" or event["label"] != reverse["label"]
    assert len({event["pair"] for events in stories for event in events}) == 2 * EVENTS


def test_equal_arguments_give_equal_stories_made_once(made, tmp_path):
    folder, stories = made
    again = story_set(tmp_path / "again", 4, seed=3)
    assert again == stories
    pytest.importorskip("av")
    name = stories[2][0]["file"]
    one, other = (read_video(place / name, Fps(FPS)).frames for place in (folder, tmp_path / "again"))
    assert (one == other).all()
    before = (folder / "manifest.jsonl").stat().st_mtime_ns
    assert story_set(folder, 4, seed=3) == stories and (folder / "manifest.jsonl").stat().st_mtime_ns == before


def test_other_folders_are_refused(made, tmp_path):
    folder, _ = made
    with pytest.raises(ClipkitError, match="made otherwise"):
        story_set(folder, 4, seed=4)
    film_set(tmp_path / "films", ["static"], 1)
    with pytest.raises(ClipkitError, match="made otherwise"):
        story_set(tmp_path / "films", 2)
    for n in (0, 3):
        with pytest.raises(ValueError, match="come in pairs"):
            story_set(tmp_path / "odd", n)
