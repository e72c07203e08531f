"""Words that mean nothing to a tower: told apart by token lengths, where the tower lets them be."""

import torch

from clipkit import FrozenCLIP
from clipkit.shapes import class_names, tiny_clip
from clipkit.text.familiar import familiarity, unfamiliar
from clipkit.text.templates import imagenet_names


def test_words_of_the_world_are_told_from_others():
    clip = tiny_clip()
    known, other = familiarity(clip, class_names()), familiarity(clip, imagenet_names()[:300])
    area = (known[:, None] > other).double().mean() + 0.5 * (known[:, None] == other).double().mean()
    assert area >= 0.95  # 0.999 when this was written
    assert unfamiliar(clip, ["red star", "unicorn", "red unicorn", "a star on grass"]) == ["unicorn", "red unicorn"]


def test_a_tower_whose_tokens_all_look_alike_is_not_judged():
    untrained = FrozenCLIP.from_pretrained("tiny-shapes")
    assert familiarity(untrained, ["cat"]) is None and unfamiliar(untrained, ["cat"]) == []


def test_a_tower_whose_tokens_are_all_trained_is_not_judged():
    clip = FrozenCLIP.from_pretrained("tiny-shapes")
    weight = dict(clip.named_parameters())["model.token_embedding.weight"]
    with torch.no_grad():  # lengths that spread as after training: a factor of 1 to 3
        weight.mul_(torch.linspace(1, 3, len(weight))[:, None])
    assert unfamiliar(clip, ["cat", "unicorn"]) == []
