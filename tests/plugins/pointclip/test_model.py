"""The model's parts against loops in float64, its loss against the released one, and what a person can get wrong."""

import pytest
import torch
from clipkit_plugins.pointclip import PointCLIP
from clipkit_plugins.pointclip.features import together

from clipkit.errors import ClipkitError

NAMES = ("circle", "star", "arrow")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = PointCLIP(
        "tiny_clip",
        NAMES,
        ["a {}"],
        dict(size=64),
        weights="learned",
        adapter=dict(dropout=0.0),
        network=dict(classes=3),
    )
    with torch.no_grad():
        made.view_weights.copy_(torch.linspace(-1, 1, 10))
    return made.eval()


def views(batch=2):
    return torch.sin(torch.arange(batch * 10 * 128.0) * 0.37).view(batch, 10, 128)


def points(batch=2):
    return torch.sin(torch.arange(batch * 20 * 3.0)).view(batch, 20, 3)


def test_zero_shot_and_weighted_are_sums_of_cosines(model):
    x, text = views().double(), model.clip.encode_text([f"a {name}" for name in NAMES]).double()
    with torch.no_grad():
        found = model.logits(views(), points())
    weights = torch.linspace(-1, 1, 10, dtype=torch.float64).exp()
    for name, w in (("zero-shot", torch.full((10,), 0.1)), ("weighted", weights / weights.sum())):
        for b in range(2):
            for k in range(3):
                cosines = [x[b, v] @ text[k] / (x[b, v].norm() * text[k].norm()) for v in range(10)]
                wanted = model.clip.logit_scale * sum(w[v] * cosines[v] for v in range(10))
                assert found[name][b, k].item() == pytest.approx(float(wanted), abs=1e-4)


def test_adapted_views_meet_the_text_as_in_the_released_code(model):
    """All views one after the other, the text as often, each of them normalised as a whole."""
    text = model.clip.encode_text([f"a {name}" for name in NAMES]).double().repeat(1, 10)
    with torch.no_grad():
        flat = model.adapter(views()).flatten(1).double()
        found = model.logits(views(), points())["adapter"]
    wanted = (
        model.clip.logit_scale * (flat / flat.norm(dim=1, keepdim=True)) @ (text / text.norm(dim=1, keepdim=True)).T
    )
    torch.testing.assert_close(found.double(), wanted, atol=1e-4, rtol=0)


def released_loss(logits, label, eps=0.2):
    target = torch.full_like(logits, eps / (logits.shape[1] - 1)).scatter(1, label[:, None], 1 - eps)
    return -(target * logits.log_softmax(1)).sum(1).mean()


def test_the_loss_is_the_released_one_for_each_part(model):
    label = torch.tensor([0, 2])
    torch.manual_seed(3)
    losses = model(list(views()), list(points()), list(label), mode="loss")
    found = model.logits(views())
    assert set(losses) == {"loss_weighted", "loss_adapter", "loss_network"}
    for name in ("weighted", "adapter"):
        torch.testing.assert_close(losses[f"loss_{name}"], released_loss(found[name], label))
    sum(losses.values()).backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    model.zero_grad()


def test_the_prediction_is_the_mean_of_the_parts_that_are_asked(model):
    with torch.no_grad():
        found = model.logits(views(), points())
        rows = model(list(views()), list(points()), [torch.tensor(1)] * 2, mode="predict")
    wanted = (found["adapter"].softmax(1) + found["network"].softmax(1)) / 2
    torch.testing.assert_close(torch.stack([row["scores"] for row in rows]), wanted)
    assert rows[0]["votes"].shape == (10,) and set(rows[0]["parts"]) == {"zero-shot", "weighted", "adapter", "network"}


def test_weights_may_be_given():
    front = PointCLIP("tiny_clip", NAMES, ["a {}"], dict(size=64), weights=[2.0] + [0.0] * 9)
    found = front.logits(views())["zero-shot"]
    torch.testing.assert_close(found, front.view_logits(views())[:, 0])
    assert not list(front.state_dict())  # the frozen CLIP is not saved


def test_clouds_of_different_lengths_share_a_batch(model):
    short, long = points(1)[0, :7], points(2)[1]
    batch = model.projection(together([short.numpy(), long.numpy()]))
    torch.testing.assert_close(batch[:1], model.projection(short[None]))


def test_other_names(model):
    with pytest.raises(ClipkitError, match="fixed classes"):
        model.set_labels(["ball", "star", "arrow"])
    open_one = PointCLIP("tiny_clip", NAMES, ["a {}"], dict(size=64))
    assert open_one.set_labels("ball; sphere, moon") == ("ball", "moon")
    assert open_one.view_logits(views()).shape == (2, 10, 2)
    assert open_one.set_labels(None) == NAMES


@pytest.mark.parametrize(
    "bad, word",
    [
        (dict(weights="best"), "learned"),
        (dict(weights=[1.0]), "10 views"),
        (dict(weights=[0.0] * 10), "10 views"),
        (dict(predict=["adapter"]), "zero-shot"),
        (dict(projection=dict(type="Depth")), "PaintedViews"),
    ],
)
def test_what_there_is_not_is_named(bad, word):
    with pytest.raises(ClipkitError, match=word):
        PointCLIP("tiny_clip", NAMES, ["a {}"], **{"projection": dict(size=64), **bad})


def test_nobody_named_the_classes():
    with pytest.raises(ClipkitError, match="CloudClassesHook"):
        PointCLIP("tiny_clip", projection=dict(size=64)).rows()
