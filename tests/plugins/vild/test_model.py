"""ViLD on mmdet: what each variant trains, labels that are replaced, and teachers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("mmdet")

import clipkit.engine  # noqa: F401  isort: skip


from clipkit_plugins.vild import WideRoIExtractor
from clipkit_plugins.vild.formulas import ensemble_scores, text_loss
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

from clipkit.errors import ClipkitError
from clipkit.text import TextEmbeddings, Vocabulary
from support import vild_parts as parts
from support.vild_parts import classifier, scalar

VARIANTS = ("text", "image", "vild", "ensemble")


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory):
    return parts.write_embeddings(tmp_path_factory.mktemp("text"))


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


def test_encoded_labels_are_switched_without_reading_them_again(embeddings, monkeypatch):
    model = parts.build(embeddings)
    monkeypatch.setattr(type(model.text), "encode", None)  # encoding again would end in an error
    for word in ("thing", "object"):
        rows = F.normalize(torch.randn(1203, parts.DIM), dim=1)
        model.set_labels(TextEmbeddings(tuple(f"{word} {i}" for i in range(1203)), rows))
        assert torch.equal(model.classifier.label_text, rows)
        assert model.classifier.scores(torch.randn(2, parts.DIM)).shape == (2, 1203)
    with pytest.raises(ClipkitError, match="4 wide"):
        model.set_labels(TextEmbeddings(("a",), torch.ones(1, 4)))


def test_a_background_from_labels_is_refused(embeddings):
    with pytest.raises(ClipkitError, match="takes no words background"):
        parts.build(embeddings).set_labels(Vocabulary(["blue star"], background=["grass"]))


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


def test_embeddings_of_another_clip_are_refused(embeddings, online):
    data = parts.batch()
    for sample in data["data_samples"]:
        sample.teacher_regions.embeddings = torch.randn(5, 2 * parts.DIM)
    with pytest.raises(ClipkitError, match="16 wide and the text's 8"):
        parts.losses(parts.build(embeddings), data)
    for weights in (online.text.clip.weights_hash, "0" * 64):
        data = parts.batch()
        for sample in data["data_samples"]:
            sample.teacher_regions.embeddings = torch.randn(5, 128)
            sample.set_metainfo({"teacher_weights": weights})
        if weights[:12] != "0" * 12:
            parts.losses(online, data)
    with pytest.raises(ClipkitError, match=f"CLIP {'0' * 12}, the text is of .*{online.text.clip.weights_hash[:12]}"):
        parts.losses(online, data)


def test_wide_regions_keep_their_corners_in_half_precision():
    # Each column holds its own number, so that what is pooled says where.
    extractor = WideRoIExtractor(
        dict(type="RoIAlign", output_size=2, sampling_ratio=2), out_channels=1, featmap_strides=[4, 8]
    )
    maps = [(torch.arange(1024 // s) / 256).expand(1, 1, 8, -1).bfloat16() for s in (4, 8)]
    rois = torch.tensor([[0.0, 1002, 2, 1018, 18]])
    found = extractor(maps, rois)
    wide = extractor([m.float() for m in maps], rois)
    assert found.dtype == torch.bfloat16 and torch.equal(found, wide.bfloat16())
    narrow = SingleRoIExtractor(
        dict(type="RoIAlign", output_size=2, sampling_ratio=2), out_channels=1, featmap_strides=[4, 8]
    )
    assert not torch.equal(narrow(maps, rois), found)


def test_formulas_are_those_that_the_classifier_calls():
    # Guards against a copy that drifts: the classifier's module holds the tested functions.
    import clipkit_plugins.vild.classifier as module

    assert module.text_loss is text_loss and module.ensemble_scores is ensemble_scores
