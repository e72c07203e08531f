"""The model of questions: alignment against loops, padding, losses by hand, blindness, checkpoints, errors."""

import math

import pytest
import torch
import torch.nn.functional as F
from clipkit_plugins.vqa.model import Tally
from clipkit_plugins.vqa.text import between, in_phrases, visible

from clipkit.embed.grids import Grid
from clipkit.engine.plugins import load_plugins
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.shapes import render

QUESTIONS = ["what colour is the striped ring?", "is there a red star?", "how many circles are there?"]


def build(**options):
    load_plugins("vqa")
    torch.manual_seed(0)
    return MODELS.build(dict(type="GridVQA", clip="tiny_clip", vocabulary="shapes", dim=32, **options)).eval()


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def grids(model):
    wide = torch.cat([render(1, seed=8).images, render(1, seed=9).images], dim=3)
    found = []
    for images in (render(1, seed=7).images, wide):
        grid, _ = model.look(images)
        found.append(Grid(*(part[0] for part in grid)))
    return found  # 64 cells and 128


def test_what_words_name():
    assert [visible(word) for word in ("the", "circles", "crosses", "grass", "7", "bus", "thing")] == [
        "", "circle", "cross", "grass", "", "bus", "",
    ]  # fmt: skip
    assert in_phrases(["", "red", "star", "", "ring"]) == ["", "red star", "red star", "", "ring"]
    assert in_phrases(["star", "star"]) == ["star", "star"]  # two tokens of one word
    assert between(["", "red star", "red star", "", "ring", ""]) == (
        ["", "", "", "red star", "", ""], ["", "", "", "ring", "", ""],
    )  # fmt: skip


@pytest.mark.parametrize("words", ["learned", "clip"])
def test_alignment_is_the_standardised_cosine(grids, words):
    model = build(words=words)
    asked = model.text([*QUESTIONS, *QUESTIONS])
    mask = torch.arange(128) < torch.tensor([64, 128])[:, None]
    places = torch.zeros(2, 128, 2)
    for b, grid in enumerate(grids):
        places[b, : len(grid.place)] = grid.place
    similarity, evidence = model._similarity(grids, asked, places, mask)
    length = asked.mask.shape[1]
    # The token of "star" in the second question: by its own word, and by its phrase.
    (token,) = [i for i in range(length) if asked.names[0, 1, i] == asked.named.index("star")]
    for kind, name in ((0, "star"), (1, "red star")):
        assert asked.named[asked.names[kind, 1, token]] == name
        row = model.clip.encode_text([f"a {name}"])[0]
        for b, grid in enumerate(grids):
            cosines = [float(F.cosine_similarity(cell, row, dim=0)) for cell in grid.joint]
            mean = sum(cosines) / len(cosines)
            spread = math.sqrt(sum((c - mean) ** 2 for c in cosines) / len(cosines))
            wanted = torch.tensor([(c - mean) / spread for c in cosines])
            own = similarity[kind, b].unflatten(0, (3, length))[1, token]
            torch.testing.assert_close(own[: len(cosines)], wanted, rtol=0, atol=1e-3)
            assert not own[len(cosines) :].any()
            facts = evidence[3 * b + 1, token, 6 * kind : 6 * kind + 6]
            likely = [math.exp(2 * (c - mean) / spread) for c in cosines]
            middle = [sum(w * float(p[i]) for w, p in zip(likely, grid.place)) / sum(likely) for i in (0, 1)]
            away = [sum((float(p[i]) - middle[i]) ** 2 for i in (0, 1)) for p in grid.place]
            apart = math.sqrt(sum(w * d for w, d in zip(likely, away)) / sum(likely))
            largest = (10 * max(cosines), 10 * mean, (max(cosines) - mean) / spread)
            wanted = torch.tensor([*largest, 10 * apart, *(5 * (at - 0.5) for at in middle)])
            torch.testing.assert_close(facts, wanted, rtol=0, atol=1e-3)
    assert not similarity[:, :, 0].any() and not evidence[:, 0].any()  # the query for the whole names nothing


@torch.no_grad()
def test_words_between_are_told_how_far_it_is(model, grids):
    asked = model.text(["is the red star left of the ring?"])
    mask, places = torch.ones(1, 64, dtype=torch.bool), grids[0].place[None]
    (facts,) = model._similarity(grids[:1], asked, places, mask)[1]
    star, ring = ([n == asked.named.index(name) for n in asked.names[0, 0]].index(True) for name in ("star", "ring"))
    assert facts[star + 1 : ring, 12:].abs().min() > 0 and not facts[[*range(star + 1), ring], 12:].any()
    torch.testing.assert_close(facts[star + 1, 12:], (facts[ring] - facts[star])[10:12])


@torch.no_grad()
def test_a_tally_adds_up():
    """Twice the cells are twice the sums, and padding counts nothing; attention would read the same mean."""
    torch.manual_seed(0)
    tally = Tally(16, 2)
    read = []
    tally.out.register_forward_pre_hook(lambda layer, given: read.append(given[0]))
    cells, asked = torch.randn(2, 5, 16), torch.randn(2, 3, 32)
    tally(asked, cells, torch.ones(2, 5, dtype=torch.bool))
    twice = torch.cat([cells, cells, torch.randn(2, 1, 16)], dim=1)
    tally(asked, twice, torch.arange(11).expand(2, -1) < 10)
    assert read[0].shape == (2, 3, 18)
    torch.testing.assert_close(read[1], 2 * read[0])


@torch.no_grad()
@pytest.mark.parametrize("aligned", [True, False])
def test_pictures_and_questions_do_not_see_each_other(grids, aligned):
    model = build(aligned=aligned)
    asked = [QUESTIONS, QUESTIONS[:1]]
    together, maps = model.score(grids, asked, maps=True)
    for grid, own, logits, looked in zip(grids, asked, together, maps):
        assert looked.shape == (len(own), len(grid.cells))
        torch.testing.assert_close(looked.sum(1), torch.ones(len(own)), rtol=0, atol=1e-5)
        for question, row, where in zip(own, logits, looked):
            alone, map_alone = model.score([grid], [[question]], maps=True)
            torch.testing.assert_close(alone[0][0], row, rtol=0, atol=2e-5)
            torch.testing.assert_close(map_alone[0][0], where, rtol=0, atol=2e-5)


@torch.no_grad()
def test_cells_have_places(grids):
    """The same cells elsewhere: the answer changes, as it would not if positions were lost."""
    model = build(aligned=False)
    turned = Grid(grids[0].cells, grids[0].place.flip(0), grids[0].joint)
    (a,), (b,) = (model.score([grid], [QUESTIONS])[0] for grid in (grids[0], turned))
    assert (a - b).abs().max() > 1e-4


@torch.no_grad()
def test_a_blind_model_sees_nothing(grids):
    model = build(blind=True)
    (a,), _ = model.score([grids[0]], [QUESTIONS])
    other, _ = model.look(render(1, seed=99).images)
    (b,), _ = model.score([Grid(*(part[0] for part in other))], [QUESTIONS])
    assert torch.equal(a, b)
    (seen,) = build()(*parts(grids[:1]), [QUESTIONS], mode="predict", joint=[grids[0].joint])
    (without,) = model(*parts(grids[:1]), [QUESTIONS], mode="predict", joint=[grids[0].joint])
    assert without["answers"] == without["blind"] == seen["blind"]  # the same weights, by the same seed


def parts(grids):
    return [grid.cells for grid in grids], [grid.place for grid in grids]


def test_losses_by_hand(grids):
    model = build()
    given = [["Red"] * 2 + ["blue"] * 5 + ["no idea"] * 3, ["yes"] * 10, ["2"] * 10]
    asked = dict(questions=[QUESTIONS], joint=[grids[0].joint])
    (logits,) = model(*parts(grids[:1]), **asked)
    wanted = 0.0
    for row, targets in zip(logits.double(), ({"red": 2 / 3, "blue": 1.0}, {"yes": 1.0}, {"2": 1.0})):
        for answer, logit in zip(model.answers, row.tolist()):
            probability, target = 1 / (1 + math.exp(-logit)), targets.get(answer, 0.0)
            wanted -= target * math.log(probability) + (1 - target) * math.log(1 - probability)
    found = model(*parts(grids[:1]), given=[given], mode="loss", **asked)["loss"]
    assert found.item() == pytest.approx(wanted / 3, rel=1e-4)


def test_entailment(grids):
    model = build(head="entailment")
    assert model.answers == ("contradiction", "neutral", "entailment")
    asked = dict(questions=[["a red star is on grass"]], joint=[grids[0].joint])
    ((logits,),) = model(*parts(grids[:1]), **asked)
    found = model(*parts(grids[:1]), given=[[["neutral"] * 10]], mode="loss", **asked)["loss"]
    assert found.item() == pytest.approx(-logits.double().log_softmax(0)[1].item(), rel=1e-5)


def test_a_checkpoint_of_other_answers_is_refused(model):
    other = build(head="entailment")
    with pytest.raises(ClipkitError, match="other answers or words"):
        model.load_state_dict(other.state_dict(), strict=False)
    assert not [key for key in model.state_dict() if key.startswith("clip.")]  # a frozen CLIP is not saved


@pytest.mark.parametrize(
    "options, said",
    [
        (dict(words="all"), "words='all' is unknown; known: learned, clip"),
        (dict(head="caption"), "head='caption' is unknown"),
        (dict(vocabulary="vqa"), "neither 'shapes' nor"),
    ],
)
def test_options_that_there_are_not(options, said):
    load_plugins("vqa")
    with pytest.raises(ClipkitError, match=said):
        MODELS.build({**dict(type="GridVQA", clip="tiny_clip", vocabulary="shapes"), **options})


def test_aligned_attention_needs_cells_in_the_texts_space(model, grids):
    with pytest.raises(ClipkitError, match="joint=True"):
        model(*parts(grids[:1]), [QUESTIONS])
