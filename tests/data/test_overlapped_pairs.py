"""Overlapped pairs: lengths, centres and ends as the original's loops have them, over 1e5 draws; and pure draws."""

import math
from collections import Counter

import pytest

from clipkit.data import OverlappedPairs, TimedText

DRAWS = 100_000
SAID = [TimedText(4.0 * i + 0.5, 4.0 * i + 3.5, f"a{i} b c") for i in range(12)]  # three words each, 0.5 to 47.5 s


def ends(length, centre, size):
    """Start -> probability, of a window that grows second by second as the original's does."""
    found, states = Counter(), {(centre, centre): 1.0}
    while states:
        following = Counter()
        for (start, end), chance in states.items():
            if end - start == size or (start == 0 and end == length):
                found[start] += chance
            elif start == 0:
                following[start, end + 1] += chance
            elif end == length:
                following[start - 1, end] += chance
            else:
                following[start, end + 1] += chance / 2
                following[start - 1, end] += chance / 2
        states = following
    return found


def assert_distributed(counts, chances):
    """Pearson's statistic within five of its standard deviations; what has no chance never happens."""
    assert set(counts) <= {key for key, chance in chances.items() if chance > 0}
    draws = sum(counts.values())
    statistic, cells = 0.0, 0
    for key, chance in chances.items():
        if draws * chance > 5:
            statistic += (counts[key] - draws * chance) ** 2 / (draws * chance)
            cells += 1
    assert abs(statistic - cells) < 5 * math.sqrt(2 * cells) + 1


@pytest.fixture(scope="module")
def drawn():
    pairs = OverlappedPairs(seconds=(3, 10), words=(4, 9), pairs=DRAWS // 10, seed=1)
    return [pair for epoch in range(10) for pair in pairs("a film", SAID, 60.0, epoch)]


def test_lengths_are_uniform(drawn):
    assert len(drawn) == DRAWS
    assert_distributed(Counter(pair.end - pair.start for pair in drawn), dict.fromkeys(range(3, 11), 1 / 8))


def test_centres_are_uniform_over_their_sentences(drawn):
    """All their spans begin and end at half seconds: as many whole ones on either side."""
    for count in (2, 3):
        own = [pair for pair in drawn if pair.last - pair.first == count]
        offsets = Counter(int(pair.centre) - math.floor(SAID[pair.first].start) for pair in own)
        assert_distributed(offsets, dict.fromkeys(range(4 * count + 1), 1 / (4 * count + 1)))


def test_windows_grow_as_the_loop_does(drawn):
    for centre, size in ((20, 6), (24, 10), (0, 8), (46, 5)):
        own = [pair for pair in drawn if (pair.centre, pair.end - pair.start) == (centre, size)]
        assert len(own) > 50 and all(pair.start <= centre <= pair.end for pair in own)
        assert_distributed(Counter(pair.start for pair in own), ends(60, centre, size))


def test_windows_that_the_films_ends_stop_grow_on_the_other_side():
    whole = [TimedText(0.2, 8.5, "all of it")]
    found = OverlappedPairs(seconds=(6, 6), words=(1, 1), pairs=5000, seed=2)("another", whole, 8.5, epoch=0)
    assert {pair.end - pair.start for pair in found} == {6}
    for centre in range(9):
        own = [pair for pair in found if pair.centre == centre]
        assert_distributed(Counter(pair.start for pair in own), ends(9, centre, 6))


def sentences(count, wanted):
    """(first, last) -> probability for `count` sentences of three words, as the original's loop grows."""
    found, states = Counter(), Counter({(i, i + 1): 1 / count for i in range(count)})
    while states:
        following = Counter()
        for (first, last), chance in states.items():
            if 3 * (last - first) >= wanted or last - first == count:
                found[first, last] += chance
                continue
            right = 1.0 if first == 0 else (0.5 if last < count else 0.0)
            following[first, last + 1] += chance * right
            following[first - 1, last] += chance * (1 - right)
        states = Counter({key: chance for key, chance in following.items() if chance})
    return found


def test_sentences_are_added_as_the_loop_does(drawn):
    expected = Counter()
    for wanted in range(4, 10):
        for key, chance in sentences(len(SAID), wanted).items():
            expected[key] += chance / 6
    assert sum(expected.values()) == pytest.approx(1)
    assert_distributed(Counter((pair.first, pair.last) for pair in drawn), expected)
    assert all(pair.text == " ".join(one.text for one in SAID[pair.first : pair.last]) for pair in drawn[:1000])


def test_aligned_pairs_have_the_ends_of_their_sentences():
    pairs = OverlappedPairs(words=(4, 9), aligned=True)("a film", SAID, 46.0, epoch=3)
    for pair in pairs:
        low, high = math.floor(SAID[pair.first].start), math.ceil(SAID[pair.last - 1].end)
        assert (pair.start, pair.end) == (low, min(high, 46))


def test_a_draw_depends_on_seed_epoch_film_and_number_alone():
    few, many = OverlappedPairs(pairs=3, seed=5), OverlappedPairs(pairs=9, seed=5)
    many("another", SAID, 50.0, epoch=0)
    assert many("a film", SAID, 60.0, epoch=7)[:3] == few("a film", SAID, 60.0, epoch=7)
    others = (
        OverlappedPairs(pairs=3, seed=6)("a film", SAID, 60.0, 7),
        few("b", SAID, 60.0, 7),
        few("a film", SAID, 60.0, 8),
    )
    assert all(other != few("a film", SAID, 60.0, epoch=7) for other in others)


def test_films_shorter_than_any_window_and_sentences_beyond_their_end():
    late = [TimedText(90.0, 95.0, "too late"), TimedText(0.0, 0.0, "at once")]
    for aligned in (False, True):
        for pair in OverlappedPairs(pairs=50, aligned=aligned)("short", late, 1.5, epoch=0):
            assert 0 <= pair.start < pair.end <= 2


@pytest.mark.parametrize("options", [dict(seconds=(0, 3)), dict(seconds=(5, 3)), dict(words=(0, 4)), dict(pairs=0)])
def test_bad_bounds_are_refused(options):
    with pytest.raises(ValueError, match="at least 1"):
        OverlappedPairs(**options)


def test_a_film_in_which_nothing_is_said_is_refused():
    with pytest.raises(ValueError, match="need a sentence"):
        OverlappedPairs()("silent", [], 3.0, epoch=0)
