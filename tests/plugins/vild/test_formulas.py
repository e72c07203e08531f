"""ViLD's losses and scores against the paper's formulas in plain float64 loops, on more than 1,000 random cases."""

import math
import random

import pytest
import torch

pytest.importorskip("mmdet")

from clipkit_plugins.vild.formulas import (
    cosine_logits,
    ensemble_scores,
    hide_novel,
    log_probabilities,
    text_loss,
)

from clipkit.adapters import L1DistillLoss

CASES = 1000


def unit(vector):
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def softmax(values):
    top = max(values)
    powers = [math.exp(v - top) for v in values]
    return [p / sum(powers) for p in powers]


def random_case(seed):
    """A batch of regions with some padding, classes of which some are novel; as nested lists."""
    r = random.Random(seed)
    regions, classes, dim = r.choice([0, 1, 2, 5]), r.choice([1, 2, 3, 7]), r.choice([2, 5])
    vector = lambda: [r.gauss(0, 1) for _ in range(dim)]  # noqa: E731
    base = [True, *(r.random() < 0.6 for _ in range(classes - 1))]
    return dict(
        regions=[vector() for _ in range(regions)],
        teacher=[vector() for _ in range(regions)],
        image=[vector() for _ in range(regions)],
        rows=[unit(vector()) for _ in range(classes)],
        background=unit(vector()),
        base=base,
        labels=[r.choice([k for k in range(classes) if base[k]] + [classes]) for _ in range(regions)],
        weights=[float(r.random() < 0.7) for _ in range(regions)],
        scale=r.choice([1.0, 50.0, 100.0]),
        background_weight=r.choice([1.0, 0.6]),
    )


def tensors(case, dtype=torch.float64):
    dim = len(case["background"])
    shapes = {"regions": (-1, dim), "teacher": (-1, dim), "image": (-1, dim), "rows": (-1, dim), "background": (1, dim)}
    out = {name: torch.tensor(case[name], dtype=dtype).reshape(shape) for name, shape in shapes.items()}
    out["labels"] = torch.tensor(case["labels"], dtype=torch.int64)
    out["weights"] = torch.tensor(case["weights"], dtype=dtype)
    out["base"] = torch.tensor(case["base"])
    return out


def loops_logits(case, which="regions"):
    rows = [*case["rows"], case["background"]]
    return [[case["scale"] * dot(unit(e), t) for t in rows] for e in case[which]]


def loops_text_loss(case, novel):
    total, count = 0.0, sum(w > 0 for w in case["weights"])
    for logits, label, weight in zip(loops_logits(case), case["labels"], case["weights"]):
        kept = [*case["base"], True]
        if novel == "zero":
            p = softmax([z if k else 0.0 for z, k in zip(logits, kept)])[label]
        else:  # as if the novel classes did not exist
            p = softmax([z for z, k in zip(logits, kept) if k])[sum(kept[:label])]
        total += weight * (case["background_weight"] if label == len(case["base"]) else 1.0) * -math.log(p)
    return total / max(count, 1)


def loops_l1(case):
    valid = [i for i, w in enumerate(case["weights"]) if w]
    total = sum(sum(abs(s - t) for s, t in zip(unit(case["regions"][i]), unit(case["teacher"][i]))) for i in valid)
    return 0.5 * total / max(len(valid), 1)


def loops_ensemble(case, base_weight, novel_weight):
    out = []
    for text, image in zip(loops_logits(case), loops_logits(case, "image")):
        p_text, p_image = softmax(text)[:-1], softmax(image[:-1])
        out.append([
            t**base_weight * i ** (1 - base_weight) if is_base else t ** (1 - novel_weight) * i**novel_weight
            for t, i, is_base in zip(p_text, p_image, case["base"])
        ])  # fmt: skip
    return out


def all_logits(t, scale, which="regions"):
    return cosine_logits(t[which], torch.cat([t["rows"], t["background"]]), scale)


def test_text_loss_equals_loops():
    for seed in range(CASES):
        case = random_case(seed)
        t = tensors(case)
        logits = all_logits(t, case["scale"])
        for novel in ("zero", "low", "exclude"):
            got = text_loss(logits, t["labels"], t["base"], novel, case["background_weight"], t["weights"])
            assert float(got) == pytest.approx(loops_text_loss(case, novel), rel=1e-9, abs=1e-9), (seed, novel)


def test_image_loss_equals_loops():
    for seed in range(CASES):
        case = random_case(seed)
        t = tensors(case)
        got = L1DistillLoss(weight=0.5)(t["regions"], t["teacher"], t["weights"].bool())
        assert float(got) == pytest.approx(loops_l1(case), rel=1e-9, abs=1e-9), seed


@pytest.mark.parametrize("weights", [(2 / 3, 2 / 3), (0.9, 0.8)])
def test_ensemble_equals_loops(weights):
    for seed in range(CASES):
        case = random_case(seed)
        t = tensors(case)
        text, image = all_logits(t, case["scale"]), all_logits(t, case["scale"], "image")
        text = log_probabilities(text[:, :-1], text[:, -1])
        got = ensemble_scores(text, log_probabilities(image[:, :-1]), t["base"], *weights)
        wanted = torch.tensor(loops_ensemble(case, *weights), dtype=torch.float64).reshape(got.shape)
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9)


def test_the_paper_s_cube_root_is_two_thirds():
    # The release writes (p_t * p_i * third)^(1/3), third = p_t for base classes, p_i for novel ones.
    t, i = torch.rand(5, 2, dtype=torch.float64), torch.rand(5, 2, dtype=torch.float64)
    base = torch.tensor([True, False])
    got = ensemble_scores(t.log(), i.log(), base)
    torch.testing.assert_close(got, (t * i * torch.where(base, t, i)) ** (1 / 3))


def test_float32_is_close_to_float64():
    for seed in range(CASES):
        case = random_case(seed)
        t = tensors(case, torch.float32)
        logits = all_logits(t, case["scale"])
        loss = text_loss(
            logits, t["labels"], t["base"], weights=t["weights"], background_weight=case["background_weight"]
        )
        assert float(loss) == pytest.approx(loops_text_loss(case, "zero"), rel=1e-5, abs=1e-5)
        got = L1DistillLoss(weight=0.5)(t["regions"], t["teacher"], t["weights"].bool())
        assert float(got) == pytest.approx(loops_l1(case), abs=1e-6)
        image = all_logits(t, case["scale"], "image")
        scores = ensemble_scores(
            log_probabilities(logits[:, :-1], logits[:, -1]), log_probabilities(image[:, :-1]), t["base"]
        )
        wanted = torch.tensor(loops_ensemble(case, 2 / 3, 2 / 3), dtype=torch.float64).reshape(scores.shape)
        torch.testing.assert_close(scores.double(), wanted, rtol=0, atol=1e-5)


def test_no_region_counts_gives_zero_with_a_gradient():
    logits = torch.randn(3, 4, requires_grad=True)
    base, labels = torch.ones(3, dtype=torch.bool), torch.tensor([0, 1, 3])
    for loss in (
        text_loss(logits, labels, base, weights=torch.zeros(3)),
        text_loss(logits[:0], labels[:0], base),
    ):
        loss.backward()
        assert loss.item() == 0.0 and float(logits.grad.abs().max()) == 0.0


def test_gradients_never_reach_novel_logits():
    base = torch.tensor([True, False, True])
    for novel in ("zero", "low", "exclude"):
        logits = torch.randn(5, 4, requires_grad=True)
        text_loss(logits, torch.tensor([0, 2, 3, 3, 0]), base, novel).backward()
        assert float(logits.grad[:, 1].abs().max()) == 0.0
        assert float(logits.grad[:, [0, 2, 3]].abs().min()) > 0.0


def test_a_novel_label_costs_nothing_only_where_it_is_excluded():
    logits, base = torch.randn(2, 3), torch.tensor([True, False])
    labels = torch.tensor([0, 1])
    alone = text_loss(logits[:1], labels[:1], base, "exclude") / 2  # N still counts both regions
    assert float(text_loss(logits, labels, base, "exclude")) == pytest.approx(float(alone))
    assert float(text_loss(logits, labels, base, "low")) > 1e10
    assert 0 < float(text_loss(logits, labels, base, "zero")) < 100


def test_cosines_ignore_autocast_and_length():
    e, rows = torch.randn(4, 8), torch.nn.functional.normalize(torch.randn(3, 8), dim=-1)
    with torch.autocast("cpu", torch.bfloat16):
        got = cosine_logits(7 * e, rows, 100)
    torch.testing.assert_close(got, cosine_logits(e, rows, 100))


def test_an_unknown_treatment_of_novel_logits_is_named():
    with pytest.raises(ValueError, match="zero, low, exclude"):
        hide_novel(torch.zeros(1, 2), torch.ones(1, dtype=torch.bool), "mask")
