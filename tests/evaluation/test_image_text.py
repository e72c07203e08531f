"""Recall between images and captions, against loops."""

import math

import pytest
import torch

from clipkit.evaluation.image_text import image_text_ranks
from clipkit.evaluation.retrieval import retrieval_ranks


def vectors(rows, offset):
    return torch.sin(torch.arange(rows * 5, dtype=torch.float64) * math.sqrt(3) + offset).reshape(rows, 5)


def test_both_directions_are_those_of_loops():
    images, owner = vectors(12, 0), torch.tensor([3, 0, 0, 7, 5, 5, 5, 1, 2, 8, 9, 10, 11, 4, 4, 1])  # 6 has no text
    texts = images[owner] + 0.8 * vectors(16, 50)
    found = image_text_ranks(images, texts, owner, chunk=5)
    scores = [[sum(float(a * b) for a, b in zip(t, i)) for i in images] for t in texts]
    for text in range(16):
        own = scores[text][owner[text]]
        expected = sum(scores[text][j] > own for j in range(12) if j != owner[text])
        assert found["text_to_image"].above[text] == expected
    for place, image in enumerate(i for i in range(12) if i != 6):
        mine = [t for t in range(16) if owner[t] == image]
        best = max(scores[t][image] for t in mine)
        expected = sum(scores[t][image] > best for t in range(16) if t not in mine)
        assert found["image_to_text"].above[place] == expected
    numbers = found["text_to_image"].metrics()
    assert 0 < numbers["R@1"] < numbers["R@5"]


def test_one_text_an_image_is_the_plain_case():
    images, texts = vectors(20, 0), vectors(20, 9)
    found, plain = image_text_ranks(images, texts, torch.arange(20)), retrieval_ranks(texts @ images.T)
    assert torch.equal(found["text_to_image"].above, plain.text_to_video.above)
    assert torch.equal(found["image_to_text"].above, plain.video_to_text.above)


def test_ties_and_nan_find_nothing_for_sure():
    same = image_text_ranks(torch.ones(4, 3), torch.ones(4, 3), torch.arange(4))["text_to_image"]
    assert same.tied.tolist() == [3] * 4 and same.metrics()["R@1"] == 25
    lost = image_text_ranks(torch.full((4, 3), torch.nan), torch.ones(4, 3), torch.arange(4))
    assert lost["text_to_image"].metrics()["R@1"] == 0 and lost["image_to_text"].metrics()["R@1"] == 0
    with pytest.raises(ValueError, match="do not fit"):
        image_text_ranks(torch.ones(2, 3), torch.ones(2, 3), torch.tensor([0, 2]))
