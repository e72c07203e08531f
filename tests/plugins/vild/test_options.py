"""Every option on which implementations of ViLD disagree; defaults are the authors' release."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("mmdet")

import clipkit.engine  # noqa: F401  isort: skip


from clipkit_plugins.vild.formulas import cosine_logits

from clipkit.adapters import L1DistillLoss
from support import vild_parts as parts
from support.vild_parts import classifier, near, scalar


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory):
    return parts.write_embeddings(tmp_path_factory.mktemp("text"))


def heads():
    torch.manual_seed(4)
    return near(5), near(5)


def results(made, labels=(0, 2, 4, 4, 1)):
    text, image = heads()
    loss = made(torch.cat([text, image], 1), torch.tensor(labels), torch.ones(5))["loss_cls"]
    return float(loss.detach()), made.scores(text, image).detach()


CHANGES = [
    # option, value, does the loss change, do the scores change
    ({"background": "raw"}, True, True),
    ({"background": "zeros"}, True, True),
    ({"background": "word"}, True, True),
    ({"background": "tuned-word"}, True, True),
    ({"background_weight": 0.6}, True, False),
    ({"scale": 50.0}, True, True),
    ({"test_scale": 100 / 0.7}, False, True),
    ({"image_scale": 75.0}, False, True),
    ({"image_background": "keep"}, False, True),
    ({"base_weight": 0.9}, False, True),
    ({"novel_weight": 0.8}, False, True),
]


@pytest.mark.parametrize("options, loss_changes, scores_change", CHANGES, ids=lambda v: str(v)[:40])
def test_each_option_changes_what_it_says(options, loss_changes, scores_change):
    loss, scores = results(classifier())
    other_loss, other_scores = results(classifier(**options))
    assert (abs(other_loss - loss) > 1e-4) == loss_changes
    assert (not torch.allclose(other_scores, scores, rtol=1e-3, atol=0)) == scores_change


def test_defaults_are_those_of_the_release():
    made = classifier()
    text, image = heads()
    rows = torch.cat([made.train_text, F.normalize(made.background.vector, dim=0)[None]])
    logits = 100 * F.normalize(text, dim=1) @ rows.T
    p_text = logits.softmax(1)[:, :-1]
    p_image = (100 * F.normalize(image, dim=1) @ made.label_text.T).softmax(1)
    third = torch.where(made.label_base, p_text, p_image)
    logits[:, 3] = 0
    loss, scores = results(made)
    assert loss == pytest.approx(F.cross_entropy(logits, torch.tensor((0, 2, 4, 4, 1))).item(), rel=1e-5)
    torch.testing.assert_close(scores, (p_text * p_image * third) ** (1 / 3), rtol=1e-4, atol=1e-9)


def test_novel_logits_stay_in_the_release_as_constants():
    # e^0 in the sum: seen at a scale at which that is not nothing.
    zero, low = (results(classifier(scale=5.0, novel=n))[0] for n in ("zero", "low"))
    assert zero > low + 1e-4


def test_excluded_and_low_novel_logits_differ_where_a_label_is_novel():
    low, exclude = (results(classifier(novel=n), labels=(0, 3, 4, 4, 1))[0] for n in ("low", "exclude"))
    assert exclude < 1e3 < low
    low, exclude = (results(classifier(novel=n))[0] for n in ("low", "exclude"))
    assert low == exclude


def test_detpro_s_low_image_background_is_a_removed_one():
    e, made = torch.randn(3, parts.DIM), classifier()
    logits = 100 * cosine_logits(e, made.label_text)
    low = torch.cat([logits, torch.full((3, 1), -1e11)], 1).softmax(1)[:, :-1]
    torch.testing.assert_close(made._log_probabilities(e, 100.0, False).exp(), low)


def test_the_scale_is_learned_where_it_should_be():
    for learn in (False, True):
        made = classifier(scale=50.0, learn_scale=learn)
        assert bool(list(made.scale.parameters())) == learn


def test_release_and_detpro_distillation_weights_are_one():
    student, teacher = torch.randn(6, 512), torch.randn(6, 512)
    wanted = 256 * F.l1_loss(F.normalize(student, dim=1), F.normalize(teacher, dim=1))
    torch.testing.assert_close(L1DistillLoss(0.5)(student, teacher), wanted)


def test_distillation_weight_scales_its_loss(embeddings):
    half, one = (
        scalar(parts.losses(parts.build(embeddings, distill_weight=w), parts.batch())["loss_distill"])
        for w in (0.5, 1.0)
    )
    assert one == pytest.approx(2 * half)


@pytest.mark.parametrize("convs, fcs", [(4, 2), (4, 1), (0, 2)])
def test_heads_of_the_release_of_detpro_and_of_detic(embeddings, convs, fcs):
    config = parts.model_config(embeddings)
    config.roi_head.bbox_head.update(num_shared_convs=convs, num_shared_fcs=fcs)
    model = parts.build(embeddings, roi_head=config.roi_head, variant="ensemble")
    head = model.roi_head.bbox_head
    assert (len(head.shared_convs), len(head.shared_fcs), len(head.image_fcs)) == (convs, fcs, fcs)
    assert np.isfinite(scalar(parts.losses(model, parts.batch())["loss_distill"]))


def test_the_release_s_head_is_the_default():
    import inspect

    from clipkit_plugins.vild import ViLD, ViLDBBoxHead

    head, model = (inspect.signature(kind).parameters for kind in (ViLDBBoxHead, ViLD))
    assert (head["num_shared_convs"].default, head["num_shared_fcs"].default) == (4, 2)
    assert (model["distill_weight"].default, model["max_regions"].default) == (0.5, 300)


def test_batch_norm_in_fully_connected_layers(embeddings):
    config = parts.model_config(embeddings)
    config.roi_head.bbox_head.fc_norm = "BN"
    model = parts.build(embeddings, roi_head=config.roi_head)
    data = parts.batch()
    for sample in data["data_samples"]:
        sample.teacher_regions = sample.teacher_regions[:0]
    assert scalar(parts.losses(model, data)["loss_distill"]) == 0
    assert all(torch.isfinite(p).all() for p in model.state_dict().values())
