"""Frames, views and sounds: each kind once, against its own model."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("onnxruntime", reason="the extra onnx")

from mmengine.config import Config
from mmengine.registry import DefaultScope

from clipkit.engine.plugins import load_plugins
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.export import OnnxFile, export_onnx, model_graph

CLIP4CLIP = dict(type="CLIP4Clip", clip="tiny_clip", head=dict(type="seqTransf", layers=1))
SHIFTED = dict(
    type="ActionCLIP", clip="tiny_clip", head=dict(type="Transf", layers=1), templates=["{}"],
    tune=dict(shift_tokens=4), test_scale=20.0,
)  # fmt: skip
POINTS = dict(
    type="PointCLIP", classes=["cone", "cube"], projection=dict(type="DepthMaps", size=64), adapter=dict(),
    weights="learned",
)  # fmt: skip
AUDIO = dict(type="AudioCLIP", clip="tiny_clip", tower=dict(channels=(4, 4, 8, 4), hidden=8), prompt="a {}")


def exported(path, plugin, model):
    load_plugins([plugin])
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("clipkit"):
        module = MODELS.build(Config(model)).eval()
    graph, about = model_graph(module, Config(dict(model=model)))
    return module, export_onnx(graph, about, path), OnnxFile(path)


@pytest.fixture(scope="module")
def clip4clip(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("videos") / "a.onnx", "clip4clip", CLIP4CLIP)


def frames(count, high=80, wide=70):
    drawn = np.random.default_rng(0).integers(0, 256, (2, count, high, wide, 3), np.uint8)
    mask = np.ones((2, count), bool)
    return drawn, mask


def resized(drawn):
    flat = torch.from_numpy(drawn).flatten(0, 1).permute(0, 3, 1, 2).float() / 255
    small = F.interpolate(flat, (64, 64), mode="bilinear", antialias=True)
    return small.unflatten(0, drawn.shape[:2])


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 5, 9])
def test_videos_of_any_length(clip4clip, count):
    model, check, file = clip4clip
    assert check.difference <= 1e-4 and check.agreement == 1
    drawn, mask = frames(count)
    mask[1, 1:] = False
    rows = model.clip.encode_text(["a red circle moves left", "nothing"])
    scores, embedding = file.run(frames=drawn, mask=mask, text=rows.numpy())
    with torch.no_grad():
        seen, kept = model.clip.encode_frames(resized(drawn)), torch.from_numpy(mask)
        assert torch.allclose(torch.from_numpy(embedding), model.head(seen, kept), atol=1e-4)
        wanted = model.score(rows, model.head(seen, kept))
    assert torch.allclose(torch.from_numpy(scores), wanted.T, atol=1e-3)


@pytest.mark.slow
def test_frames_that_the_tower_shifts_have_one_number(tmp_path):
    model, check, file = exported(tmp_path / "a.onnx", "actionclip", SHIFTED)
    assert check.difference <= 1e-4 and file.about.options["any_number_of_frames"] is False
    drawn, mask = frames(8)
    rows = model.class_rows(["jump", "run", "sit"])[0]
    scores, embedding = file.run(frames=drawn, mask=mask, text=rows.numpy())
    with torch.no_grad():
        wanted = model.head(model.clip.encode_frames(resized(drawn)).float())
        said = model.probabilities(wanted, ["jump", "run", "sit"])
    assert np.allclose(embedding, wanted.numpy(), atol=1e-4)
    assert np.allclose(torch.from_numpy(scores).softmax(-1), said, atol=1e-4)
    with pytest.raises(ClipkitError, match="cannot run it"):
        file.run(frames=drawn[:, :5], mask=mask[:, :5], text=rows.numpy())


@pytest.mark.slow
def test_a_head_with_a_token_of_its_own(tmp_path):
    token = dict(SHIFTED, tune={}, head=dict(type="Transf_cls", layers=1, max_frames=8))
    model, check, file = exported(tmp_path / "a.onnx", "actionclip", token)
    assert check.difference <= 1e-4 and file.about.options["any_number_of_frames"] is True
    rows = model.class_rows(["jump", "run"])[0]
    for count in (3, 8):
        drawn, mask = frames(count)
        embedding = file.run(frames=drawn, mask=mask, text=rows.numpy())[1]
        with torch.no_grad():
            wanted = model.head(model.clip.encode_frames(resized(drawn)).float())
        assert np.allclose(embedding, wanted.numpy(), atol=1e-4)


def test_heads_that_read_words_say_so(tmp_path):
    with pytest.raises(ClipkitError, match="WeightedTokenInteraction reads each word"):
        exported(tmp_path / "a.onnx", "clip4clip", dict(CLIP4CLIP, head=dict(type="wti")))


@pytest.mark.slow
def test_views_of_clouds(tmp_path):
    model, check, file = exported(tmp_path / "a.onnx", "pointclip", POINTS)
    assert check.difference <= 1e-4 and file.about.own().names == ("cone", "cube")
    cloud = torch.rand(300, 3, generator=torch.Generator().manual_seed(1)) - 0.5
    said, votes, _ = model.classify_cloud(cloud)
    scores, found = file.run(views=model.projection(cloud[None]).numpy(), text=model.rows().numpy())
    assert np.allclose(scores[0], said["all"], atol=1e-5)
    assert np.allclose(torch.from_numpy(found[0]).softmax(-1), votes, atol=1e-5)


def test_a_network_of_points_is_not_exported(tmp_path):
    with pytest.raises(ClipkitError, match="reads points, no views"):
        exported(tmp_path / "a.onnx", "pointclip", dict(POINTS, network=dict(classes=2)))


@pytest.mark.slow
def test_sounds(tmp_path):
    model, check, file = exported(tmp_path / "a.onnx", "audioclip", AUDIO)
    assert check.difference <= 1e-4
    waves = torch.randn(3, round(model.seconds * model.rate), generator=torch.Generator().manual_seed(0)) / 9
    rows = model.encode_names(["red star", "ring"])
    scores, embedding = file.run(sounds=model.spectrogram(waves).numpy(), text=rows.numpy())
    wanted = model.encode_sound(waves)
    assert np.allclose(embedding, wanted, atol=1e-5)
    assert np.allclose(scores, 20 * (wanted @ rows.T), atol=1e-4)
