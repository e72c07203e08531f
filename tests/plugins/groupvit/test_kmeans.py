"""k-means: what learned groups are compared with."""

import pytest
import torch
from clipkit_plugins.groupvit import KMeansEncoder
from clipkit_plugins.groupvit.kmeans import kmeans
from mmengine.registry import DefaultScope
from mmseg.structures import SegDataSample

from clipkit.backbone import FrozenCLIP
from clipkit.engine.build import prepare_config
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.shapes import render, tiny_clip
from support.backbone_models import photos, small_model


def clusters_of(points, clusters, rounds):
    """One image in float64 loops."""
    unit = [point / point.norm() for point in points.double()]
    mean = sum(unit) / len(unit)
    centres = [max(unit, key=lambda p: float(p @ mean))]
    for _ in range(clusters - 1):
        centres.append(min(unit, key=lambda p: max(float(p @ c) for c in centres)))

    def nearest():
        return [max(range(clusters), key=lambda k: float(p @ centres[k])) for p in unit]

    for _ in range(rounds):
        ids = nearest()
        for k in range(clusters):
            own = [p for p, i in zip(unit, ids) if i == k]
            if own:
                centres[k] = sum(own) / sum(own).norm()
    return nearest()


def test_kmeans_equals_loops_and_is_the_same_each_time():
    x = torch.randn(3, 40, 5, generator=torch.Generator().manual_seed(1))
    got = kmeans(x, 4)
    assert got.tolist() == [clusters_of(one, 4, 12) for one in x] and torch.equal(got, kmeans(x, 4))
    assert torch.equal(got, kmeans(x * 3, 4))  # by directions
    assert len(kmeans(torch.ones(1, 6, 2), 3).unique()) == 1  # clusters may stay empty


def test_the_encoder_pools_its_members_and_keeps_clusters():
    torch.manual_seed(0)
    encoder = KMeansEncoder(8, 2, depth=0, clusters=3, cache=True).eval()
    x, seen = torch.randn(2, 20, 8), torch.randn(2, 20, 5)
    segments, members = encoder(x, seen, ["a", "b"])
    ids = kmeans(seen, 3)
    assert torch.equal(members.argmax(2), ids) and torch.equal(members.sum(2), torch.ones(2, 20))
    mean = x[1][ids[1] == 2].mean(0)
    torch.testing.assert_close(segments[1, 2], encoder.norm(mean + encoder.mlp(encoder.norm_in(mean))))
    other, _ = encoder(x, torch.randn(2, 20, 5), ["a", "b"])  # kept, not clustered anew
    assert torch.equal(segments, other)
    assert not torch.equal(segments, encoder(x, torch.randn(2, 20, 5))[0])


@pytest.mark.parametrize("colours", [False, True])
def test_clusters_are_named_as_pictures_of_their_own(colours):
    with DefaultScope.overwrite_default_scope("clipkit"):
        model = MODELS.build(
            dict(
                type="KMeansCLIP", classes=["red circle", "grass"], text=dict(clip="tiny_clip"), clusters=3, stride=4,
                colours=colours, precision="fp32",
                data_preprocessor=dict(type="mmseg.SegDataPreProcessor", mean=[0] * 3, std=[255] * 3, bgr_to_rgb=True),
            )
        ).eval()  # fmt: skip
    images = render(2, seed=3).images
    sample = SegDataSample(metainfo={"ori_shape": (64, 64), "img_shape": (64, 64)})
    result = model.test_step({"inputs": [(images[0] * 255).byte().flip(0)], "data_samples": [sample]})[0]
    groups, labels = result.pred_groups.data[0], result.pred_sem_seg.data[0]
    assert set(groups.unique().tolist()) <= {0, 1, 2}
    for group in groups.unique():  # one name a cluster
        assert len(labels[groups == group].unique()) == 1
    assert model.set_labels("ring, heart") == ("ring", "heart")
    with pytest.raises(ClipkitError, match="nothing to train"):
        model.loss(images, [])


@torch.no_grad()
@pytest.mark.parametrize("what", ["tokens", "colours"])
def test_clusters_in_the_groups_place_have_the_names_of_their_cells(what):
    cfg = prepare_config("groupvit/groupvit_tiny_shapes.py").model
    with DefaultScope.overwrite_default_scope("clipkit"):
        trained = MODELS.build(cfg).eval()
        model = MODELS.build({**cfg, "clusters": what}).eval()
    model.load_state_dict(trained.state_dict())
    inputs = (render(2, seed=3).images * 255 - 127) / 64
    groups, image, maps = trained.encode(inputs)
    clusters, same, members = model.encode(inputs)
    assert torch.equal(image, same) and clusters.shape == groups.shape and members.shape == maps.shape
    cells = ((inputs * 64 + 127) / 255).unflatten(3, (16, 4)).unflatten(2, (16, 4)).mean((3, 5))
    seen = []
    trained.encoder.stages[0].downsample.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    trained.encode(inputs)
    ids = kmeans(seen[0] if what == "tokens" else cells.flatten(2).transpose(1, 2), 8)
    assert torch.equal(members.argmax(1).flatten(1), ids) and torch.equal(members.sum(1), torch.ones(2, 16, 16))
    own = [cell @ groups[1] for cell, k in zip(maps[1].flatten(1).T, ids[1].tolist()) if k == ids[1][0]]
    torch.testing.assert_close(clusters[1, ids[1][0]], torch.stack(own).mean(0))


@torch.no_grad()
def test_all_tokens_pooled_are_the_pictures_embedding():
    clip, images = tiny_clip(), render(2, seed=3).images
    seen = clip.features(images, (-1,), dense=False)
    tokens = torch.cat([seen.cls[0][:, None], seen.maps[0].flatten(2).transpose(1, 2)], dim=1)
    torch.testing.assert_close(clip.pool_tokens(tokens), seen.embedding, rtol=0, atol=1e-5)
    shuffled = torch.cat([tokens[:, :1], tokens[:, 1:].flip(1)], dim=1)
    torch.testing.assert_close(clip.pool_tokens(shuffled), seen.embedding, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["vit", "timm-vit", "resnet"])
def test_towers_that_read_one_token_pool_none(family):
    clip = FrozenCLIP(small_model(family))
    with pytest.raises(ValueError, match="pools no patches beside a class token"):
        clip.pool_tokens(photos(1, 5, 32))
