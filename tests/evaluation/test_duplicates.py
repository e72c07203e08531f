"""Near-duplicates and what they do to a score, against scipy and against copies that were made on purpose."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from clipkit.evaluation.duplicates import binomial_tail, clopper_pearson, near_duplicates, overlap
from clipkit.shapes import render, tiny_clip


def pixels(count, seed):
    return [(image * 255).byte().movedim(0, -1).numpy() for image in render(count, seed=seed, objects=(1, 2)).images]


def compressed(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).resize((90, 90)).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer))


def darker(picture):
    return (0.8 * picture).astype(np.uint8)


def described(clip, pictures):
    images = torch.stack([clip.preprocess(Image.fromarray(p)) for p in pictures])
    small = [Image.fromarray(p).convert("L").resize((16, 16), Image.Resampling.BOX) for p in pictures]
    return clip.encode_image(images, normalize=False), torch.from_numpy(np.stack([np.asarray(s) for s in small]))


def test_copies_are_found_and_other_pictures_of_the_same_things_are_not():
    clip = tiny_clip()
    test, train = pixels(120, 2**41), pixels(200, 2**41 + 1)
    copies = {5: 3, 70: 40, 99: 119}  # place in the training set -> place in the test set
    for place, source in copies.items():
        train[place] = (compressed, darker, lambda p: p)[source % 3](test[source])
    (a, small_a), (b, small_b) = described(clip, test), described(clip, train)
    found = near_duplicates(a, b, (small_a, small_b), chunk=50)
    assert {(j, i) for i, j in found.pairs.tolist()} == set(copies.items())
    # Embeddings alone would not do: of the same things there are many pictures.
    alone = near_duplicates(a, b, (torch.arange(2).expand(120, 2), torch.arange(2).expand(200, 2)))
    assert len(alone.pairs) > 2 * len(copies)
    assert found.correlation.tolist() == sorted(found.correlation.tolist(), reverse=True)


def test_pictures_of_one_colour_are_each_other_s_copies():
    """They have no correlation, so it is said to be 1: blank pages, placeholders."""
    embedding = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    small = torch.stack([torch.full((4, 4), 255), torch.full((4, 4), 9), torch.arange(16).view(4, 4)]).byte()
    found = near_duplicates(embedding, embedding[:1], (small, small[:1]))
    assert found.pairs.tolist() == [[0, 0]] and found.correlation.tolist() == pytest.approx([1.0])


CASES = [(0, 10, 0.3), (7, 10, 0.3), (10, 10, 0.9), (480, 1000, 0.45), (3, 5000, 1e-4)]


@pytest.mark.parametrize("hits, count, p", CASES)
def test_the_statistics_are_scipy_s(hits, count, p):
    stats = pytest.importorskip("scipy.stats")
    theirs = stats.binomtest(hits, count, p, alternative="greater")
    assert binomial_tail(hits, count, p) == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-12)
    both = stats.binomtest(hits, count, p).proportion_ci(0.995, "exact")
    assert clopper_pearson(hits, count) == pytest.approx((both.low, both.high), abs=1e-9)


def test_overlap_counts():
    right = torch.tensor([1, 1, 0, 1, 0, 0, 1, 1]).bool()
    duplicate = torch.tensor([1, 1, 0, 0, 0, 0, 0, 1]).bool()
    found = overlap(right, duplicate)
    assert found.contamination == 37.5 and found.all == 62.5 and found.clean == 40 and found.dirty == 100
    assert found.gain == pytest.approx(22.5) and found.p == pytest.approx(0.4**3)
    assert found.interval[1] == 100 and 0 < found.interval[0] < 100
    none = overlap(right, torch.zeros(8).bool())
    assert none.gain == 0 and none.p == 1 and none.dirty != none.dirty
    with pytest.raises(ValueError, match="without a duplicate"):
        overlap(right, torch.ones(8).bool())
