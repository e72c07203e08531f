"""LSeg: its loss and logits against plain loops, replaceable labels, the frozen variant, text from files."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("mmseg")

from clipkit_plugins.lseg import LSeg, PrecomputedText
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from clipkit.engine.registry import DATASETS, MODELS
from clipkit.errors import ClipkitError
from clipkit.text import Vocabulary

NAMES = ["red circle", "blue star", "green ring", "grass"]


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory):
    """A file of text embeddings, so that most tests need no CLIP."""
    folder = tmp_path_factory.mktemp("text")
    rows = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    np.save(folder / "rows.npy", rows)
    (folder / "rows.json").write_text(json.dumps([*NAMES, "person", "Bicycle"]))
    return str(folder / "rows.npy")


def build(embeddings, **changes):
    torch.manual_seed(0)
    config = dict(
        type="LSeg",
        classes=NAMES,
        text=dict(path=embeddings),
        tower=dict(type="ConvTower", channels=(4, 6), blocks=(1, 1)),
        decoder=dict(type="FPNDecoder", features=6),
        precision="fp32",
        data_preprocessor=dict(type="mmseg.SegDataPreProcessor", mean=[0] * 3, std=[255] * 3, bgr_to_rgb=True),
    )
    config.update(changes)
    with DefaultScope.overwrite_default_scope("clipkit"):
        return MODELS.build(config)


def sample(ids):
    out = SegDataSample()
    out.gt_sem_seg = PixelData(data=torch.as_tensor(ids)[None])
    return out


def batch(seed=0, size=(8, 12), classes=4):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3, *size, generator=generator)
    targets = torch.randint(classes, (2, *size), generator=generator)
    targets[:, :2] = 255
    return images, targets


def loops_loss(model, images, targets, train_ids):
    """-log softmax over the training classes of exp(s) cos, upsampled, meaned over pixels of those classes; float64."""
    embedding = model.extract_feat(images).detach().double()
    rows = F.normalize(model.text.rows[: len(model.classes)].double(), dim=1)
    scale = float(model.logit_scale().detach().double())
    logits = torch.zeros(len(images), len(train_ids), *embedding.shape[-2:], dtype=torch.float64)
    for b in range(len(images)):
        for y in range(embedding.shape[2]):
            for x in range(embedding.shape[3]):
                pixel = embedding[b, :, y, x]
                for k, c in enumerate(train_ids):
                    logits[b, k, y, x] = scale * (pixel @ rows[c]) / pixel.norm()
    logits = F.interpolate(logits, targets.shape[-2:], mode="bilinear")
    losses = []
    for b, y, x in np.ndindex(*targets.shape):
        target = int(targets[b, y, x])
        if target in train_ids:
            losses.append(-F.log_softmax(logits[b, :, y, x], 0)[train_ids.index(target)])
    return float(torch.stack(losses).mean())


@pytest.mark.parametrize("train_classes", [None, ["grass", "red circle"]])
def test_loss_equals_loops(embeddings, train_classes):
    model = build(embeddings, train_classes=train_classes).eval()
    images, targets = batch()
    train_ids = [0, 1, 2, 3] if train_classes is None else [0, 3]  # the order of `classes` is kept
    got = model.loss(images, [sample(t) for t in targets])
    assert float(got["loss"].detach()) == pytest.approx(loops_loss(model, images, targets, train_ids), abs=1e-5)


def test_points_have_the_same_mean_loss(embeddings):
    full, drawn = build(embeddings).eval(), build(embeddings, points=3000).eval()
    images, targets = batch()
    samples = [sample(t) for t in targets]
    torch.manual_seed(0)
    assert float(drawn.loss(images, samples)["loss"]) == pytest.approx(
        float(full.loss(images, samples)["loss"]), rel=0.03
    )


def test_loss_of_ignored_images_is_zero_with_gradient(embeddings):
    for points in (None, 5):
        model = build(embeddings, points=points)
        images, _ = batch()
        loss = model.loss(images, [sample(torch.full((8, 12), 255))] * 2)["loss"]
        loss.backward()
        assert float(loss) == 0.0


def test_temperature_and_tower_learn_text_does_not(embeddings):
    model = build(embeddings)
    images, targets = batch()
    before = model.train_text.clone()
    model.loss(images, [sample(t) for t in targets])["loss"].backward()
    assert model.logit_scale.log_scale.grad.abs() > 0
    assert all(p.grad is not None for p in model.parameters())
    assert not model.train_text.requires_grad and torch.equal(before, model.train_text)
    assert not [key for key in model.state_dict() if "text" in key]


def test_labels_are_replaced_and_permute_with_the_caller(embeddings):
    model = build(embeddings, train_classes=["grass"]).eval()
    images, targets = batch()
    loss = float(model.loss(images, [sample(t) for t in targets])["loss"])
    first = model.encode_decode(images)
    assert first.shape == (2, 4, 8, 12) and model.label_names == tuple(NAMES)
    assert model.set_labels(["grass", "person", "red circle"]) == ("grass", "person", "red circle")
    second = model.encode_decode(images)
    torch.testing.assert_close(second[:, [0, 2]], first[:, [3, 0]])
    assert float(model.loss(images, [sample(t) for t in targets])["loss"]) == loss
    # one label wins everywhere
    model.set_labels("grass")
    result = model.predict(images, None)[0]
    assert (result.pred_sem_seg.data == 0).all() and result.seg_logits.data.shape == (1, 8, 12)


def test_background_threshold(embeddings):
    model = build(embeddings).eval()
    model.set_labels(Vocabulary(["grass", "person"], background=0.999))
    result = model.predict(batch()[0], None)[0]
    sure = result.seg_logits.data.softmax(0).amax(0) >= 0.999
    assert result.metainfo["label_names"] == ("grass", "person", "background")
    assert ((result.pred_sem_seg.data[0] == 2) == ~sure).all()
    model.set_labels(Vocabulary(["grass"], background=["person", "Bicycle"]))
    assert model.label_names == ("grass", "background") and model.label_text.shape[0] == 3
    assert model.predict(batch()[0], None)[0].seg_logits.data.shape[0] == 2
    with pytest.raises(ClipkitError, match="learned background"):
        model.set_labels(Vocabulary(["grass"], background="learned"))


def test_sliding_mode_equals_whole_for_one_window(embeddings):
    whole = build(embeddings).eval()
    slide = build(embeddings, test_cfg=dict(mode="slide", window=32, stride=16)).eval()
    images, _ = batch()
    torch.testing.assert_close(slide.predict(images)[1].seg_logits.data, whole.predict(images)[1].seg_logits.data)
    with pytest.raises(ClipkitError, match="known: whole, slide"):
        build(embeddings, test_cfg=dict(mode="tiles")).predict(images)


def test_prediction_comes_at_the_original_size(embeddings):
    model = build(embeddings).eval()
    out = model.test_step(
        {
            "inputs": [torch.randint(255, (3, 16, 8), dtype=torch.uint8)],
            "data_samples": [SegDataSample(metainfo={"ori_shape": (40, 20), "img_shape": (16, 8)})],
        }
    )[0]
    assert out.pred_sem_seg.data.shape == (1, 40, 20) and out.seg_logits.data.shape == (4, 40, 20)


def test_names_without_embedding_are_ignored(embeddings):
    classes = ["red circle", "Sky", "Pedestrian", "grass"]
    model = build(embeddings, classes=classes, text=dict(path=embeddings, stand_ins={"Pedestrian": "person"})).eval()
    assert model.unnamed == ["Sky"] and model.label_names == ("red circle", "Pedestrian", "grass")
    torch.testing.assert_close(model.train_text[1], model.text.rows[4])
    images, targets = batch()
    without_sky = targets.masked_fill(targets == 1, 255)
    samples = [[sample(t) for t in group] for group in (targets, without_sky)]
    assert float(model.loss(images, samples[0])["loss"]) == float(model.loss(images, samples[1])["loss"])


def test_an_ignored_id_may_be_that_of_a_class(embeddings):
    """0 is "unlabelled" in many masks; among the training classes it is the first of them."""
    model = build(embeddings, train_classes=NAMES[1:3], ignore_index=0)
    assert model._training_ids(torch.tensor([[0, 1, 2]])).tolist() == [[2, 0, 1]]
    images, targets = torch.randn(2, 3, 8, 12), torch.zeros(2, 8, 12, dtype=torch.int64)
    targets[:, :4] = 1
    loss = model.loss(images, [sample(t) for t in targets])["loss"]
    torch.testing.assert_close(loss.item(), loops_loss(model, images, targets, [1, 2]), rtol=0, atol=1e-5)
    assert model.loss(images, [sample(t * 0) for t in targets])["loss"] == 0


def test_text_from_files(embeddings):
    text = PrecomputedText([embeddings, embeddings], stand_ins={"bike": "bicycle"})
    assert text.lacks(["GRASS", "bike", "sky"]) == ["sky"]
    encoded = text.encode(Vocabulary(["bike", "meadow"], synonyms=[[], ["grass"]]))
    torch.testing.assert_close(encoded.matrix, text.rows[[5, 3]])
    with pytest.raises(ClipkitError, match="no embedding for sky"):
        text.encode(Vocabulary(["sky", "grass"]))
    with pytest.raises(ClipkitError, match=r"stand-in .persn. .*near names: person"):
        PrecomputedText(embeddings, stand_ins={"Pedestrian": "persn"})


def test_errors_say_what_is_wrong(embeddings):
    with pytest.raises(ClipkitError, match="train_classes has unicorn"):
        build(embeddings, train_classes=["unicorn"])
    with pytest.raises(ClipkitError, match="text embedding"):
        build(embeddings, classes=["a", "b"])
    with pytest.raises(ClipkitError, match="either clip="):
        build(embeddings, text=dict())
    with pytest.raises(ClipkitError, match="hold no image tower"):
        build(embeddings, tower=dict(type="FrozenTower"))
    with pytest.raises(ClipkitError, match="does not exist"):
        build(embeddings, classes="nowhere.txt", text=dict(clip="and this CLIP is not asked for"))
    with pytest.raises(ClipkitError, match=r"no such folder of images; .* variables"):
        DATASETS.build(dict(type="FolderSegDataset", image_dir="no/images", mask_dir="no/masks", classes=["a"]))
    many = [str(i) for i in range(256)]
    with pytest.raises(ClipkitError, match="256 classes; its masks are read with 8 bits"):
        DATASETS.build(dict(type="FolderSegDataset", image_dir="no/images", mask_dir="no/masks", classes=many))
    model = build(embeddings)
    for ignored in (9, 255):  # also in a mask that has ignored pixels
        mask = torch.full((8, 12), ignored)
        mask[0, 0] = 9
        with pytest.raises(ClipkitError, match="a mask holds id 9"):
            model.loss(batch()[0], [sample(mask)] * 2)


@pytest.mark.parametrize("kind", ["bottleneck", "depthwise"])
def test_block_regularises_the_decoder_sized_logits(embeddings, kind):
    plain = build(embeddings, align_corners=True).eval()
    model = build(embeddings, align_corners=True, block=dict(kind=kind, depth=2, activation="tanh")).eval()
    images, targets = batch()
    with torch.no_grad():
        logits = model.label_head(plain.cosine_logits(plain.extract_feat(images), plain.label_text))
        wanted = F.interpolate(logits, (8, 12), mode="bilinear", align_corners=True)
        torch.testing.assert_close(model.encode_decode(images), wanted)
        loss = model.loss(images, [sample(t) for t in targets])["loss"]
    torch.testing.assert_close(loss, F.cross_entropy(wanted, targets, ignore_index=255), atol=1e-5, rtol=1e-5)
    model.set_labels(["grass", "person", "red circle", "blue star"])
    first = model.encode_decode(images)
    model.set_labels(["person", "blue star", "grass", "red circle"])
    torch.testing.assert_close(model.encode_decode(images), first[:, [1, 3, 0, 2]])


@pytest.mark.parametrize("block", [None, dict(kind="bottleneck", depth=2)])
def test_points_have_the_same_gradient_with_block_and_corners(embeddings, block):
    images, targets = batch()
    samples = [sample(t) for t in targets]
    gradients = []
    for points in (None, 20000):
        model = build(embeddings, align_corners=True, block=block, points=points).eval()
        torch.manual_seed(0)
        model.loss(images, samples)["loss"].backward()
        parts = [model.head.bias, *(() if block is None else (model.label_head.conv.weight,))]
        gradients.append(torch.cat([p.grad.flatten() for p in parts]))
    torch.testing.assert_close(gradients[1], gradients[0], atol=0.05 * float(gradients[0].abs().max()), rtol=0)


def test_block_is_computed_in_float32_under_autocast(embeddings):
    model = build(embeddings, block=dict(depth=2)).eval()
    embedding = model.extract_feat(batch()[0])
    wanted = model.label_logits(embedding, model.label_text)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(model.label_logits(embedding, model.label_text), wanted, atol=0, rtol=0)


def test_scale_is_learned_or_fixed(embeddings):
    """The original keeps its scale as a tensor outside the optimiser: constant, and in no checkpoint."""
    images, targets = batch()
    for learned in (True, False):
        model = build(embeddings, learn_scale=learned, logit_scale=5.0)
        optimiser = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(2):  # a second backward needs a graph of its own
            optimiser.zero_grad()
            model.loss(images, [sample(t) for t in targets])["loss"].backward()
            optimiser.step()
        assert (abs(float(model.scale()) - 5) > 1e-3) == learned
        assert "logit_scale.log_scale" in model.state_dict()


@pytest.fixture(scope="module")
def frozen():
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("clipkit"):
        return MODELS.build(
            dict(
                type="LSeg",
                classes="shapes",
                train_classes="shapes:composition",
                text=dict(clip="tiny-shapes"),
                tower=dict(type="FrozenTower", layers=(0, 1, -2, -1)),
                decoder=dict(type="DPTDecoder", channels=(4, 4, 4, 4), features=4),
                precision="fp32",
                data_preprocessor=dict(
                    type="mmseg.SegDataPreProcessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True
                ),
            )
        )


def test_frozen_variant_trains_only_the_decoder(frozen):
    assert len(frozen.classes) == 102 and frozen.train_text.shape == (78, frozen.text.embed_dim)
    clip = frozen.text.clip
    before = {key: value.clone() for key, value in clip.state_dict().items()}
    frozen.train()
    optimiser = torch.optim.SGD([p for p in frozen.parameters() if p.requires_grad], 0.1)
    loss = frozen.loss(torch.randn(2, 3, 64, 64), [sample(torch.randint(96, (64, 64)))] * 2)["loss"]
    loss.backward()
    optimiser.step()
    trained = {name.split(".")[0] for name, p in frozen.named_parameters() if p.grad is not None}
    assert trained == {"decoder", "head", "logit_scale"}
    assert all(torch.equal(before[key], value) for key, value in clip.state_dict().items())


def test_frozen_variant_gives_clip_its_own_normalisation(frozen):
    seen = {}
    original = frozen.text.clip.features

    def watch(images, **options):
        seen["images"] = images
        return original(images, **options)

    frozen.text.clip.features = watch
    try:
        pixels = torch.randint(256, (1, 3, 64, 64)).float()
        frozen.eval().extract_feat((pixels - 127) / 64)
    finally:
        del frozen.text.clip.features
    torch.testing.assert_close(seen["images"], pixels / 255, atol=1e-6, rtol=0)


def test_clip_text_equals_the_clip(frozen):
    rows = frozen.text.clip.encode_text(["red star", "grass"])
    frozen.set_labels("red star, grass")
    torch.testing.assert_close(frozen.label_text, rows, atol=1e-5, rtol=1e-5)
    assert isinstance(frozen, LSeg)


def test_whitened_names_are_equally_far_apart_and_do_not_depend_on_the_other_labels():
    from clipkit.text.class_rows import ClipText

    streets = ["Sky", "Building", "Pole", "Road", "Car"]
    whitened = ClipText("tiny_shapes", whiten=streets)
    rows = whitened.encode(Vocabulary(streets)).matrix
    others = ~torch.eye(len(streets), dtype=torch.bool)
    # Five points of a regular simplex about their mean: the cosine of any two is -1/4.
    assert torch.allclose((rows @ rows.T)[others], torch.tensor(-0.25), atol=1e-3)
    again = whitened.encode(Vocabulary(["red star", *reversed(streets)])).matrix
    assert torch.allclose(again[1:].flip(0), rows, atol=1e-3)
    with pytest.raises(ClipkitError, match="two names"):
        ClipText("tiny_shapes", whiten=["Sky"])
