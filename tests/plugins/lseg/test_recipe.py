"""LSeg's models and training as configs, and the original's defects that ours must not have."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("mmseg")

from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from clipkit.engine.build import prepare_config
from clipkit.engine.registry import MODELS
from clipkit.engine.runner import ClipkitRunner

BASES = Path(__file__).parents[3] / "configs" / "_base_"
SMALL = {
    "lseg_vitl16": (dict(embed_dim=24, num_heads=2), (4, 4, 6, 6), 24),
    "lseg_vitb32": (dict(embed_dim=24, num_heads=2), (4, 4, 6, 6), 12),
    "lseg_rn101": (dict(layers=(1, 1, 1, 1)), None, 0),
}


@pytest.fixture(params=SMALL)
def recipe(request, tmp_path):
    """A config of a data set on top of each base, with little widths and no downloads; and the depth of its ViT."""
    model_args, channels, depth = SMALL[request.param]
    np.save(tmp_path / "rows.npy", np.eye(3, 8, dtype=np.float32))
    (tmp_path / "rows.json").write_text(json.dumps(["sky", "tree", "road"]))
    decoder = dict(features=4) if channels is None else dict(features=4, channels=channels)
    tower = dict(pretrained=False, model_args=model_args)
    (tmp_path / "child.py").write_text(
        f'_base_ = ["{BASES / request.param}.py"]\nplugins = ["lseg"]\n'
        f'model = dict(classes=["sky", "tree", "road"], text=dict(_delete_=True, path="{tmp_path / "rows.npy"}"), '
        f"tower={tower}, decoder={decoder})\n"
        'train_dataloader = dict(batch_size=2, dataset=dict(type="ShapesSegDataset", length=4))\n'
    )
    return prepare_config(tmp_path / "child.py"), depth


def build(cfg):
    with DefaultScope.overwrite_default_scope("clipkit"):
        return MODELS.build(cfg.model)


def rates(model, cfg):
    """The optimiser's wrapper and name of parameter -> rate."""
    with DefaultScope.overwrite_default_scope("clipkit"):
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    names = {id(p): name for name, p in model.named_parameters()}
    groups = wrapper.optimizer.param_groups
    return wrapper, {names[id(p)]: group["lr"] for group in groups for p in group["params"]}


def test_the_bases_build_the_papers_models(recipe):
    cfg, depth = recipe
    model = build(cfg).eval()
    assert model.align_corners and float(model.scale()) == pytest.approx(1 / 0.07)
    assert not list(model.logit_scale.parameters()) and model.label_head is None
    if depth:
        assert len(model.tower.vit.blocks) == depth and model.tower.layers[-1] == depth - 1
        assert model.tower.vit.patch_embed.grid_size == ((24, 24) if depth == 24 else (12, 12))
    x = torch.randn(1, 3, 64, 96)
    stride2 = model.label_logits(model.extract_feat(x), model.label_text)
    assert stride2.shape == (1, 3, 32, 48) and model.encode_decode(x).shape == (1, 3, 64, 96)


def test_what_the_original_calls_scratch_learns_ten_times_faster(recipe):
    cfg, _ = recipe
    cfg.model.block = dict(kind="bottleneck", depth=1)
    _, found = rates(build(cfg), cfg)
    fast = {name for name, rate in found.items() if rate == pytest.approx(0.005)}
    slow = {name for name, rate in found.items() if rate == pytest.approx(0.0005)}
    assert fast | slow == set(found)
    assert slow == {name for name in found if name.startswith(("tower.", "decoder.reassemble."))}
    assert {"head.weight", "label_head.conv.weight", "decoder.laterals.0.weight"} <= fast


@pytest.mark.parametrize("recipe", ["lseg_rn101"], indirect=True)
@pytest.mark.parametrize(
    ("ranks", "batch", "accumulate", "rate"),
    [(1, 16, 1, 0.0005), (8, 4, 1, 0.001), (8, 1, 2, 0.0005), (1, 4, 4, 0.0005), (2, 1, 1, 0.0000625)],
)
def test_the_rate_follows_all_images_of_a_step(recipe, ranks, batch, accumulate, rate):
    """The original divides by the batch of one GPU: eight of them train at an eighth of the rate."""
    cfg, _ = recipe
    cfg.optim_wrapper.accumulative_counts = accumulate
    wrapper, before = rates(torch.nn.ModuleDict({"tower": torch.nn.Linear(1, 1), "head": torch.nn.Linear(1, 1)}), cfg)
    assert set(before.values()) == {0.0005, 0.005}
    runner = ClipkitRunner.__new__(ClipkitRunner)
    runner._world_size, runner._train_dataloader = ranks, {"batch_size": batch}
    runner.param_schedulers, runner.logger = None, logging.getLogger("test")
    runner.scale_lr(wrapper, cfg.auto_scale_lr)
    found = sorted({group["lr"] for group in wrapper.optimizer.param_groups})
    assert found == [pytest.approx(rate), pytest.approx(10 * rate)]


def test_text_is_encoded_once_a_vocabulary():
    """The original encodes all labels in every forward, of training and of test."""
    with DefaultScope.overwrite_default_scope("clipkit"):
        model = MODELS.build(
            dict(
                type="LSeg",
                classes=["red circle", "blue star"],
                text=dict(clip="tiny_shapes"),
                tower=dict(type="ConvTower", channels=(4, 6), blocks=(1, 1)),
                decoder=dict(type="FPNDecoder", features=6),
                precision="fp32",
            )
        )
    clip, calls = model.text.clip, []
    for name in ("encode_text", "encode_tokens"):
        whole = getattr(clip, name)
        setattr(clip, name, lambda *a, _whole=whole, **k: calls.append(1) or _whole(*a, **k))
    x = torch.randn(2, 3, 8, 8)
    model(x, mode="tensor"), model(x, mode="tensor")
    samples = [SegDataSample() for _ in x]
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=torch.zeros(1, 8, 8, dtype=torch.int64))
    model.train().loss(x, samples)["loss"].backward()
    model.eval().predict(x)
    assert calls == []
    model.set_labels(["grass"])
    assert calls
