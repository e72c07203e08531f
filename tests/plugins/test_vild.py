"""ViLD on mmdet: what each variant trains, labels that are replaced, teachers, and every option on which
implementations disagree."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("mmdet")

import clipkit.engine  # noqa: F401  isort: skip

sys.path.insert(0, str(Path(__file__).parent))

import vild_parts as parts
from clipkit_plugins.vild import ViLDClassifier
from clipkit_plugins.vild.formulas import cosine_logits, ensemble_scores, text_loss

from clipkit.adapters import L1DistillLoss
from clipkit.errors import ClipkitError
from clipkit.text import TextEmbeddings, Vocabulary

VARIANTS = ("text", "image", "vild", "ensemble")


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory):
    return parts.write_embeddings(tmp_path_factory.mktemp("text"))


def scalar(value):
    return float((sum(value) if isinstance(value, list) else value).detach())


# ---- what is trained ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_has_its_losses_and_predicts(embeddings, variant):
    model = parts.build(embeddings, variant=variant)
    found = parts.losses(model, parts.batch())
    assert ("loss_cls" in found) == (variant != "image")
    assert ("loss_distill" in found) == (variant != "text")
    assert {"loss_rpn_cls", "loss_rpn_bbox", "loss_bbox", "loss_mask"} <= set(found)
    sum(sum(v) if isinstance(v, list) else v for k, v in found.items() if "loss" in k).backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without  # a distributed run would wait for them
    with torch.no_grad():
        result = model.eval().test_step(parts.batch())[0]
    assert result.label_names == tuple(parts.NAMES)
    instances = result.pred_instances
    assert len(instances) == 20 and int(instances.labels.max()) < 4 and instances.masks.shape == (20, 64, 64)


def test_text_loss_is_the_formula_on_what_the_head_gave(embeddings, monkeypatch):
    model = parts.build(embeddings, variant="text")
    seen = {}
    forward = model.classifier.forward
    monkeypatch.setattr(
        model.classifier, "forward", lambda e, y, w=None, **k: seen.update(e=e, y=y, w=w) or forward(e, y, w, **k)
    )
    got = parts.losses(model, parts.batch())["loss_cls"]
    rows = model.text.rows[:4]
    background = F.normalize(model.classifier.background.vector, dim=0)
    logits = 100 * F.normalize(seen["e"], dim=1) @ torch.cat([rows, background[None]]).T
    logits[:, 3] = 0  # the novel class
    assert set(seen["y"].tolist()) == {0, 2, 4}
    assert scalar(got) == pytest.approx(scalar(F.cross_entropy(logits, seen["y"])), rel=1e-5)


def test_two_heads_of_the_ensemble_learn_apart(embeddings):
    model = parts.build(embeddings, variant="ensemble")
    parts.losses(model, parts.batch())["loss_distill"].backward()
    head = model.roi_head.bbox_head
    assert all(p.grad is None for p in [*head.shared_convs.parameters(), *head.fc_cls.parameters()])
    assert all(p.grad.abs().max() > 0 for p in head.image_projection.parameters())
    assert model.backbone.conv1.weight.grad.abs().max() > 0


def test_invalid_regions_cost_nothing_and_none_at_all_is_zero(embeddings):
    model = parts.build(embeddings, variant="ensemble")
    data = parts.batch()
    whole = parts.losses(model, data)["loss_distill"]
    few = parts.batch()
    for sample in few["data_samples"]:
        sample.teacher_regions = sample.teacher_regions[:3]
    padded = parts.batch()
    for sample in padded["data_samples"]:
        sample.teacher_regions.valid[3:] = False
    a, b = (scalar(parts.losses(model, d)["loss_distill"]) for d in (few, padded))
    assert a == pytest.approx(b, rel=1e-6) and a != pytest.approx(scalar(whole))
    for sample in data["data_samples"]:
        sample.teacher_regions = sample.teacher_regions[:0]
    loss = parts.losses(model, data)["loss_distill"]
    loss.backward()
    assert scalar(loss) == 0 and model.roi_head.bbox_head.image_projection.weight.grad is not None


def test_images_without_objects_train(embeddings):
    found = parts.losses(parts.build(embeddings), parts.batch(labels=()))
    assert all(np.isfinite(scalar(v)) for v in found.values())


def test_novel_names_change_no_base_logit(embeddings):
    """With 'exclude', a vocabulary with novel names and one without them train alike."""
    some = parts.build(embeddings, variant="text", classes=parts.NAMES[:3], base_classes=None)
    more = parts.build(embeddings, variant="text", classifier=dict(novel="exclude"))
    a, b = (scalar(parts.losses(m, parts.batch(labels=(0, 2)))["loss_cls"]) for m in (some, more))
    assert a == pytest.approx(b, rel=1e-6)


def test_text_and_clip_are_not_saved(embeddings):
    keys = parts.build(embeddings).state_dict()
    assert not [k for k in keys if k.startswith("text.") or "label" in k or "train_" in k]
    assert "roi_head.bbox_head.loss_cls.background.vector" in keys


# ---- labels ---------------------------------------------------------------------------------------------------------


def test_adding_labels_changes_no_cosine_and_order_only_the_order(embeddings):
    model = parts.build(embeddings)
    e = torch.randn(5, parts.DIM)
    model.set_labels(["red circle", "blue star"])
    before, scores = model.classifier.label_cosines(e), model.classifier.scores(e)
    assert model.set_labels(["unicorn", "blue star", "red circle"]) == ("unicorn", "blue star", "red circle")
    assert torch.equal(model.classifier.label_cosines(e)[:, [2, 1]], before)
    assert not torch.allclose(model.classifier.scores(e)[:, [2, 1]], scores)  # they compete
    model.set_labels(["blue star", "red circle"])
    torch.testing.assert_close(model.classifier.scores(e)[:, [1, 0]], scores)
    assert model.set_labels() == tuple(parts.NAMES)


def test_base_labels_are_known_by_name_and_synonym(embeddings):
    model = parts.build(embeddings, variant="ensemble")
    model.set_labels(Vocabulary(["orange star", "grass", "Red Circle"], synonyms={"grass": ["blue star"]}))
    assert model.classifier.label_base.tolist() == [False, True, True]
    model.set_labels()
    assert model.classifier.label_base.tolist() == [True, True, True, False]
    model.set_labels(TextEmbeddings(("x", "Blue_Star"), torch.eye(parts.DIM)[:2]))
    assert model.classifier.label_base.tolist() == [False, True]


def test_training_is_untouched_by_labels(embeddings):
    model = parts.build(embeddings)
    before = {k: scalar(v) for k, v in parts.losses(model, parts.batch()).items()}
    model.set_labels("unicorn")
    assert {k: scalar(v) for k, v in parts.losses(model, parts.batch()).items()} == before


def test_switching_1203_encoded_labels_takes_milliseconds(embeddings):
    model = parts.build(embeddings)
    vocabularies = [
        TextEmbeddings(tuple(f"{word} {i}" for i in range(1203)), F.normalize(torch.randn(1203, parts.DIM), dim=1))
        for word in ("thing", "object")
    ]
    times = []
    for labels in [*vocabularies] * 5:
        start = time.perf_counter()
        model.set_labels(labels)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.01
    assert model.classifier.scores(torch.randn(2, parts.DIM)).shape == (2, 1203)
    with pytest.raises(ClipkitError, match="4 wide"):
        model.set_labels(TextEmbeddings(("a",), torch.ones(1, 4)))


def test_a_background_from_labels_is_refused(embeddings):
    with pytest.raises(ClipkitError, match="takes no words background"):
        parts.build(embeddings).set_labels(Vocabulary(["blue star"], background=["grass"]))


# ---- options on which implementations disagree (defaults: the authors' release) -------------------------------------


def near(*shape):
    """Rows near each other, so that at a scale of 100 no softmax is saturated."""
    return F.normalize(torch.ones(*shape, parts.DIM) + 0.1 * torch.randn(*shape, parts.DIM), dim=-1)


def classifier(**options):
    torch.manual_seed(3)
    rows, word, start = near(4), near(), near()
    made = ViLDClassifier(parts.DIM, **{"variant": "ensemble", **options})
    if made.background is not None:
        made.background.vector.data = 2 * start
    made.set_training_classes(rows, torch.tensor([True, True, True, False]), word)
    made.set_labels(TextEmbeddings(tuple(parts.NAMES), rows), [True, True, True, False])
    return made


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
    assert loss == pytest.approx(float(F.cross_entropy(logits, torch.tensor((0, 2, 4, 4, 1)))), rel=1e-5)
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


# ---- teachers -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def online():
    """A model with the tiny CLIP, which teaches in every step."""
    return parts.build(None, text=dict(clip="tiny_shapes"), variant="vild", teacher=dict(crop_scales=(1.0, 1.5)))


def rgb(data):
    return torch.stack(data["inputs"]).flip(1).float() / 255


def test_online_and_stored_teacher_give_equal_losses(online):
    data = parts.batch()
    stored = online.teacher.regions(rgb(data), [s.teacher_regions.bboxes for s in data["data_samples"]])
    for sample, part in zip(data["data_samples"], stored.split(5)):
        sample.teacher_regions.embeddings = part
    wanted = scalar(parts.losses(online, data)["loss_distill"])
    asked = parts.batch()
    boxes = [s.teacher_regions.bboxes for s in asked["data_samples"]]
    for sample in asked["data_samples"]:
        del sample.teacher_regions
    online.roi_head._regions, kept = (lambda *_: _online_regions(online, boxes)), online.roi_head._regions
    try:
        got = scalar(parts.losses(online, asked)["loss_distill"])
    finally:
        del online.roi_head._regions
    assert kept is not None and got == pytest.approx(wanted, rel=1e-4)


def _online_regions(model, boxes):
    embeddings = model.roi_head.teach(boxes)
    return boxes, embeddings, torch.ones(len(embeddings), dtype=torch.bool)


def test_the_online_teacher_reads_the_proposals(online):
    data = parts.batch()
    for sample in data["data_samples"]:
        del sample.teacher_regions
    loss = parts.losses(online, data)["loss_distill"]
    assert scalar(loss) > 0 and online.roi_head.teach is None
    assert all(p.grad is None for p in online.text.parameters())


def test_crop_scales_and_templates_change_the_targets(online):
    images, boxes = rgb(parts.batch()), [s.teacher_regions.bboxes for s in parts.batch()["data_samples"]]
    release = online.teacher.regions(images, boxes)
    online.teacher.crop_scales, kept = (2.0, 2.0), online.teacher.crop_scales
    jhoowy = online.teacher.regions(images, boxes)
    online.teacher.crop_scales = kept
    assert (release * jhoowy).sum(1).min() < 0.999
    ensemble = online.encode_labels(Vocabulary(parts.NAMES, templates="vild")).matrix
    single = online.encode_labels(Vocabulary(parts.NAMES, templates="a {}")).matrix
    assert (ensemble * single).sum(1).min() < 0.999


def test_upper_row_reads_crops_at_test_time_with_the_weights_of_vild_text():
    text = dict(clip="tiny_shapes")
    trained = parts.build(None, text=text, variant="text")
    only_crops = dict(base_weight=0.0, novel_weight=1.0)
    model = parts.build(None, text=text, variant="crops", teacher=dict(), classifier=only_crops)
    model.load_state_dict(trained.state_dict())
    data = parts.batch()
    with torch.no_grad():
        found = model.eval().test_step(data)[0].pred_instances
    # With these weights the score is CLIP's alone, of the proposal that was refined into the box.
    assert len(found) == 20 and model.roi_head.teach is None
    seen = parts.build(None, text=text, variant="crops", teacher=dict())
    seen.load_state_dict(trained.state_dict())
    with torch.no_grad():
        other = seen.eval().test_step(parts.batch())[0].pred_instances
    assert not torch.equal(found.scores, other.scores)


def test_crops_scores_are_clip_on_the_proposals():
    made = classifier(variant="crops", base_weight=0.0, novel_weight=1.0)
    text, image = torch.randn(3, parts.DIM), torch.randn(3, parts.DIM)
    wanted = (100 * F.normalize(image, dim=1) @ made.label_text.T).softmax(1)
    torch.testing.assert_close(made.scores(text, image), wanted)


# ---- what a person can repair ---------------------------------------------------------------------------------------


def test_wrong_names_and_options_are_one_line(embeddings):
    with pytest.raises(ClipkitError, match="no text embedding for zebra"):
        parts.build(embeddings, classes=["zebra", *parts.NAMES])
    with pytest.raises(ClipkitError, match="base_classes has zebra"):
        parts.build(embeddings, base_classes=["zebra"])
    with pytest.raises(ClipkitError, match="hold no image tower"):
        parts.build(embeddings, teacher=dict())
    with pytest.raises(ClipkitError, match="runs CLIP at test time"):
        parts.build(embeddings, variant="crops")
    with pytest.raises(ClipkitError, match="known: learned, raw"):
        classifier(background="none")
    data = parts.batch()
    for sample in data["data_samples"]:
        del sample.teacher_regions
    with pytest.raises(ClipkitError, match="has no embeddings of regions"):
        parts.losses(parts.build(embeddings), data)


def test_formulas_are_those_that_the_classifier_calls():
    # Guards against a copy that drifts: the classifier's module holds the tested functions.
    import clipkit_plugins.vild.classifier as module

    assert module.text_loss is text_loss and module.ensemble_scores is ensemble_scores
