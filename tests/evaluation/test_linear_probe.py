"""Linear probes against scikit-learn with the same C and lambda."""

import numpy as np
import pytest
import torch

from clipkit.adapters import TipAdapter
from clipkit.evaluation.linear_probe import (
    RIDGE_PENALTIES,
    logistic_probe,
    ridge_probes,
    sweep_logistic,
    sweep_ridge,
)


def blobs(classes, count, dim, seed, noise=1.6):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, dim))
    labels = np.arange(count) % classes
    features = 0.4 * (centres[labels] + noise * rng.normal(size=(count, dim))) + 0.3
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("C", [1e-3, 0.316, 30.0])
def test_logistic_is_scikit_learns(classes, C):
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, labels = blobs(classes, 300, 24, 0)
    test, truth = blobs(classes, 2000, 24, 1)
    theirs = linear_model.LogisticRegression(C=C, max_iter=5000, tol=1e-8).fit(
        features.double().numpy(), labels.numpy()
    )
    ours, default = (logistic_probe(features, labels, C, tolerance=t) for t in (1e-9, 1e-6))
    expected = theirs.decision_function(test.double().numpy())
    found = ours.scores(test)
    if classes == 2:
        assert found[:, 1] - found[:, 0] == pytest.approx(torch.from_numpy(expected), abs=1e-3)
    else:
        centred = found - found.mean(1, keepdim=True)  # a softmax is blind to what all classes share
        theirs_centred = expected - expected.mean(1, keepdims=True)
        assert np.abs(centred.numpy() - theirs_centred).max() < 1e-3
    accuracy = 100 * theirs.score(test.double().numpy(), truth.numpy())
    assert ours.accuracy(test, truth) == pytest.approx(accuracy, abs=0.1)
    assert default.accuracy(test, truth) == pytest.approx(accuracy, abs=0.1)
    assert 100 / classes + 5 < accuracy < 100


@pytest.mark.parametrize("count", [60, 400])  # fewer than dimensions, and more
def test_ridge_is_scikit_learns_for_every_lambda(count):
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, labels = blobs(5, count, 80, 2)
    test, _ = blobs(5, 300, 80, 3)
    x = features.double().numpy()
    mean, spread = x.mean(0), x.std(0)
    targets = 2.0 * np.eye(5)[labels.numpy()] - 1
    for probe in ridge_probes(features, labels)[::6]:
        theirs = linear_model.Ridge(alpha=probe.C).fit((x - mean) / spread, targets)
        expected = theirs.predict((test.double().numpy() - mean) / spread)
        assert np.abs(probe.scores(test).numpy() - expected).max() < 1e-6


def test_a_start_changes_the_way_and_not_the_end():
    features, labels = blobs(4, 200, 10, 4)
    cold = logistic_probe(features, labels, 1.0)
    warm = logistic_probe(features, labels, 1.0, start=logistic_probe(features, labels, 100.0))
    assert (cold.weight - warm.weight).abs().max() < 1e-4


def test_the_sweep_takes_15_of_97_and_looks_at_validation_alone():
    train, train_labels = blobs(6, 90, 30, 5)
    val, val_labels = blobs(6, 300, 30, 6)
    found = sweep_logistic(train, train_labels, val, val_labels)
    assert 7 < len(found.tried) <= 15
    assert found.accuracy == max(found.tried.values()) == found.tried[found.probe.C]
    steps = [8 * np.log10(C) for C in found.tried]
    assert np.allclose(steps, np.round(steps)) and min(steps) == -48 and max(steps) == 48
    best = 8 * np.log10(found.probe.C)
    assert {round(best) - 1, round(best) + 1} <= {round(step) for step in steps}  # the search ended at neighbours
    # Shuffled validation labels must be able to change the choice: nothing else decides it.
    other = sweep_logistic(train, train_labels, val, val_labels.roll(1))
    assert other.tried != found.tried


def test_the_ridge_sweep_takes_the_best_penalty():
    train, train_labels = blobs(6, 60, 100, 7, noise=3.0)
    val, val_labels = blobs(6, 600, 100, 8, noise=3.0)
    found = sweep_ridge(train, train_labels, val, val_labels)
    assert set(found.tried) == set(RIDGE_PENALTIES) and found.accuracy == max(found.tried.values())
    assert found.accuracy > min(found.tried.values())
    best = [C for C, value in found.tried.items() if value == found.accuracy]
    assert max(best) == found.probe.C


def test_classes_without_an_example_are_never_guessed_first():
    features, labels = blobs(3, 90, 8, 9)
    probe = logistic_probe(features, labels, 1.0, num_classes=5)
    assert probe.weight.shape == (5, 8) and (probe.scores(features).argmax(1) < 3).all()


def test_nonsense_is_refused():
    features, labels = blobs(3, 9, 4, 0)
    with pytest.raises(ValueError, match="C must be positive"):
        logistic_probe(features, labels, 0.0)
    with pytest.raises(ValueError, match="as many labels"):
        logistic_probe(features, labels[:4], 1.0)
    with pytest.raises(ValueError, match="not finite"):
        logistic_probe(features / 0, labels, 1.0)
    with pytest.raises(ValueError, match="all positive"):
        ridge_probes(features, labels, [0.0])


def test_nothing_is_chosen_without_validation_data():
    features, labels = blobs(4, 4, 4, 0)
    nothing = features[:0], labels[:0]
    for sweep in (sweep_logistic, sweep_ridge):
        with pytest.raises(ValueError, match="the validation set is empty"):
            sweep(features, labels, *nothing)
    with pytest.raises(ValueError, match="the validation set is empty"):
        logistic_probe(features, labels, 1.0).accuracy(*nothing)
    tip = TipAdapter(features[None], labels, torch.eye(4), 5.0)
    with pytest.raises(ValueError, match="no validation examples"):
        tip.search(*nothing)
