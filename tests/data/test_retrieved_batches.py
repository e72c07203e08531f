"""Batches of near films: neighbours against loops in float64, queries that stay, and pure draws."""

from collections import Counter

import numpy as np
import pytest

from clipkit.data import RetrievedBatches

VECTORS = np.random.default_rng(3).normal(size=(40, 6))


def nearest(query, count):
    """By cosine, one scalar at a time; the film itself first, of equals the lower number."""
    norm = [sum(a * a for a in row) ** 0.5 for row in VECTORS.tolist()]
    cosines = [
        sum(a * b for a, b in zip(VECTORS[query].tolist(), row)) / (norm[query] * norm[i])
        for i, row in enumerate(VECTORS.tolist())
    ]
    others = sorted((i for i in range(len(VECTORS)) if i != query), key=lambda i: (-cosines[i], i))
    return [query, *others][:count]


def test_neighbours_are_those_of_the_loops():
    batches = RetrievedBatches(VECTORS, films=4, candidates=9)
    assert batches.nearest(np.arange(40)).tolist() == [nearest(i, 9) for i in range(40)]


def test_a_batch_is_a_query_and_films_of_its_neighbourhood():
    batches = RetrievedBatches(VECTORS, films=4, candidates=9, seed=1)
    for epoch in range(5):
        found = batches(epoch)
        assert found.shape == (len(batches), 4) == (10, 4)
        assert len(set(found[:, 0])) == 10  # no query twice
        for row in found.tolist():
            assert len(set(row)) == 4 and set(row) <= set(nearest(row[0], 9))


def test_neighbours_and_queries_are_drawn_alike():
    """Each of 8 neighbours is in 3 of 8 batches of its query; each film is a query in a quarter of the epochs."""
    batches = RetrievedBatches(VECTORS, films=4, candidates=9, seed=2)
    rows = [row for epoch in range(200) for row in batches(epoch).tolist()]
    queries = Counter(row[0] for row in rows)
    assert all(abs(count - 50) < 5 * (200 * 0.25 * 0.75) ** 0.5 for count in queries.values()) and len(queries) == 40
    ranked = [nearest(i, 9) for i in range(40)]
    places = Counter(ranked[row[0]].index(film) for row in rows for film in row[1:])
    expected = len(rows) * 3 / 8
    assert set(places) == set(range(1, 9))
    assert all(abs(count - expected) < 5 * (expected * 5 / 8) ** 0.5 for count in places.values())


def test_a_batch_depends_on_seed_epoch_and_query_alone():
    batches = RetrievedBatches(VECTORS, films=4, candidates=9, seed=1)
    later = RetrievedBatches(VECTORS, films=4, candidates=9, seed=1)(6)
    assert [batches(epoch) for epoch in range(7)][6].tolist() == later.tolist()
    assert batches(5).tolist() != later.tolist()
    assert RetrievedBatches(VECTORS, films=4, candidates=9, seed=2)(6).tolist() != later.tolist()


def test_many_queries_go_in_parts(monkeypatch):
    whole = RetrievedBatches(VECTORS, films=2, candidates=5)(0)
    monkeypatch.setattr("clipkit.data.retrieved_batches._ROWS", 3)
    assert RetrievedBatches(VECTORS, films=2, candidates=5)(0).tolist() == whole.tolist()


@pytest.mark.parametrize(
    "vectors, films, message",
    [
        (VECTORS, 41, "as many candidates and films"),
        (VECTORS, 0, "as many candidates and films"),
        (VECTORS[0], 1, "as many candidates and films"),
        (np.zeros((5, 3)), 2, "not 0"),
        (np.full((5, 3), np.nan), 2, "not 0"),
    ],
)
def test_bad_options_are_refused(vectors, films, message):
    with pytest.raises(ValueError, match=message):
        RetrievedBatches(vectors, films)
