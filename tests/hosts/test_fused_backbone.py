"""FusedBackbone inside models that mmseg and mmdet build from their own configs, scaled down."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("mmengine")

from clipkit.engine.runner import load_weights
from clipkit.errors import ClipkitError
from clipkit.hosts.fused_backbone import FusedBackbone
from clipkit.hosts.host_images import HostImages, valid_part
from support.closed_form import closed_form_
from support.host_parts import picture, small_clip

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


class Pyramid(torch.nn.Module):
    """A host whose cells see only their own pixels, so that padding cannot leak into its maps."""

    def __init__(self):
        super().__init__()
        self.narrow, self.wide = torch.nn.Conv2d(3, 4, 4, 4), torch.nn.Conv2d(3, 8, 8, 8)
        self.norm = torch.nn.BatchNorm2d(8)

    def forward(self, x):
        height, width = (-side % 8 for side in x.shape[-2:])
        x = F.pad(x, (0, width, 0, height))
        return self.narrow(x), self.norm(self.wide(x))


def preprocess(pictures, pad=0.0):
    """What mmseg and mmdet do: normalise, then pad at the right and the bottom."""
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    height, width = (max(p.shape[n] for p in pictures) for n in (1, 2))
    ready = [(p.float() - mean) / std for p in pictures]
    return torch.stack([F.pad(p, (0, width - p.shape[2], 0, height - p.shape[1]), value=pad) for p in ready])


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_pictures_come_back_in_rgb(order):
    rgb = picture(16, 24)
    inputs = preprocess([rgb if order == "rgb" else rgb.flip(0)])
    images = HostImages(mean=MEAN, std=STD, channel_order=order)(inputs)
    torch.testing.assert_close(images[0], rgb / 255, rtol=0, atol=1e-6)


@pytest.mark.parametrize("convert", [True, False])
def test_mmsegs_own_preprocessor_is_undone(convert):
    models = pytest.importorskip("mmseg.models")
    config = {"mean": MEAN, "std": STD, "bgr_to_rgb": convert, "pad_val": 0}
    rgb = picture(16, 24)
    ready = models.SegDataPreProcessor(**config)({"inputs": [rgb.flip(0)]})["inputs"]  # mmcv reads BGR
    torch.testing.assert_close(HostImages(config)(ready)[0], rgb / 255, rtol=0, atol=1e-6)
    theirs = {"to_rgb": convert}  # as mmpretrain and mmaction call it
    assert HostImages(theirs).channel_order == HostImages(config).channel_order == ("rgb" if convert else "bgr")


def test_padding_is_found_and_a_black_picture_is_not_padding():
    black = torch.zeros(3, 20, 20, dtype=torch.uint8)
    inputs = preprocess([picture(32, 17), picture(9, 40, seed=1), black])
    assert HostImages(mean=MEAN, std=STD).valid_sizes(inputs) == [(32, 17), (9, 40), (20, 20)]
    assert HostImages(mean=MEAN, std=STD, pad_value=None).valid_sizes(inputs) == [(32, 40)] * 3
    assert HostImages(mean=MEAN, std=STD).valid_sizes(torch.zeros(1, 3, 8, 8)) == [(8, 8)]
    other = preprocess([picture(32, 17), picture(32, 20)], pad=-7.0)
    assert HostImages(mean=MEAN, std=STD, pad_value=-7).valid_sizes(other) == [(32, 17), (32, 20)]


@pytest.mark.parametrize("clip_size", [None, 24, (16, 32)])
@pytest.mark.parametrize("mode, features, layers", [
    ("add", "dense", ()), ("film", "embedding", ()), ("cross_attention", "maps", (0, -1)), ("concatenate", "dense", ()),
])  # fmt: skip
def test_a_padded_batch_gives_each_picture_what_it_gets_alone(clip_size, mode, features, layers):
    model = FusedBackbone(
        Pyramid(), small_clip(), mean=MEAN, std=STD, mode=mode, features=features, layers=layers, clip_size=clip_size
    )
    closed_form_(model.fusions, scale=0.3)
    model.eval()
    pictures = [picture(32, 40), picture(24, 31, seed=1), picture(24, 16, seed=2), picture(24, 31, seed=3)]
    inputs = preprocess(pictures)
    together = model(inputs)
    for n, one in enumerate(pictures):
        for level, alone in enumerate(model(preprocess([one]))):
            rows, columns = valid_part(tuple(one.shape[1:]), inputs, together[level])
            seen = together[level][n, :, :rows, :columns]
            torch.testing.assert_close(seen, alone[0], rtol=1e-4, atol=1e-5)
    plain = model.host(inputs)
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(together, plain))
    assert torch.equal(together[0][2, :, 6:], plain[0][2, :, 6:])  # below a picture of 24 rows: the host's own


def test_padding_would_matter_if_it_were_seen():
    model = FusedBackbone(Pyramid(), small_clip(), mean=MEAN, std=STD, pad_value=None)
    closed_form_(model.fusions, scale=0.3)
    model.eval()
    padded = model(preprocess([picture(16, 16), picture(32, 32)]))[0][0, :, :4, :4]
    assert (padded - model(preprocess([picture(16, 16)]))[0][0]).abs().max() > 1e-3


def test_identity_at_start_in_either_output_form():
    host = Pyramid().eval()
    inputs = preprocess([picture(32, 40)])
    model = FusedBackbone(host, small_clip(), mean=MEAN, std=STD).eval()
    assert all(torch.equal(a, b) for a, b in zip(model(inputs), host(inputs)))
    single = FusedBackbone(host.narrow, small_clip(), mean=MEAN, std=STD).eval()
    assert torch.equal(single(inputs), host.narrow(inputs))


def test_chosen_levels_only():
    model = FusedBackbone(Pyramid(), small_clip(), mean=MEAN, std=STD, levels=[-1]).eval()
    assert list(model.fusions) == ["1"]
    closed_form_(model.fusions, scale=0.3)
    inputs = preprocess([picture(32, 32)])
    out, plain = model(inputs), model.host(inputs)
    assert torch.equal(out[0], plain[0]) and not torch.equal(out[1], plain[1])


def test_clip_stays_frozen_and_unsaved():
    clip = small_clip()
    before = clip.weights_hash
    model = FusedBackbone(Pyramid(), clip, mean=MEAN, std=STD)
    assert model.host.norm.num_batches_tracked == 0  # reading off the channels leaves no trace
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    model.train()
    sum(m.square().mean() for m in model(preprocess([picture(32, 32)]))).backward()
    optimizer.step()
    state = model.state_dict()
    assert state and not [key for key in state if key.startswith("clip.")]
    wrapped = torch.nn.Sequential(FusedBackbone(Pyramid(), clip, mean=MEAN, std=STD))
    wrapped.load_state_dict({f"0.{key}": value for key, value in state.items()}, strict=True)
    assert torch.equal(wrapped[0].host.wide.weight, model.host.wide.weight)
    poisoned = {f"clip.{key}": torch.zeros_like(value) for key, value in clip.state_dict().items()}
    load_weights(model, {**state, **poisoned}, "a.pth", strict=True)
    clip._hash = None
    assert clip.weights_hash == before
    assert not any(p.requires_grad for p in clip.parameters()) and not clip.training


class MapsByName(torch.nn.Module):
    def forward(self, inputs):
        return {"out": inputs}


def test_bad_arguments():
    with pytest.raises(ClipkitError, match="features"):
        FusedBackbone(Pyramid(), small_clip(), features="all")
    with pytest.raises(ClipkitError, match="layers"):
        FusedBackbone(Pyramid(), small_clip(), layers=(1,))
    with pytest.raises(ClipkitError, match="needs a name"):
        FusedBackbone(Pyramid(), {"pretrained": "openai"})
    with pytest.raises(ClipkitError, match="host_channels"):
        FusedBackbone(torch.nn.Linear(3, 3), small_clip())
    with pytest.raises(ClipkitError, match=r"levels=\(7,\): the host gives"):
        FusedBackbone(Pyramid(), small_clip(), levels=(7,))
    with pytest.raises(ClipkitError, match="host_channels"):
        FusedBackbone(MapsByName(), small_clip())
    with pytest.raises(ValueError, match="mean and std"):
        FusedBackbone(Pyramid(), small_clip(), mean=MEAN)


HOST = """
_base_ = ["{mmseg}"]
norm_cfg = dict(type="BN")
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=(64, 96)),
    backbone=dict(depth=18, base_channels=8, norm_cfg=norm_cfg),
    decode_head=dict(in_channels=64, channels=8, num_classes=4, norm_cfg=norm_cfg),
    auxiliary_head=None)
"""
BLOCK = """
_base_ = ["host.py"]
model = dict(backbone=dict(
    _delete_=True, type="clipkit.FusedBackbone", clip=dict(name="local-dir:{clip}"), clip_size=32,
    host={{{{_base_.model.backbone}}}}, data_preprocessor={{{{_base_.model.data_preprocessor}}}}))
"""


@pytest.mark.parametrize("name", ["tiny_clip", "tiny_shapes"])
def test_clipkits_own_clip_by_either_name_keeps_what_else_is_asked(name):
    from clipkit.hosts.frozen_child import build_clip
    from clipkit.shapes import tiny_clip

    clip = build_clip({"name": name, "dense": "naclip"})
    assert clip.dense_variant == "naclip" and clip.weights_hash == tiny_clip().weights_hash


def test_an_mmseg_config_gains_clip_by_one_block(tmp_path):
    mmseg = pytest.importorskip("mmseg")
    from mmengine.config import Config
    from mmengine.registry import DefaultScope
    from mmseg.registry import MODELS
    from mmseg.structures import SegDataSample
    from mmseg.utils import register_all_modules

    from clipkit.backbone import save_open_clip_folder

    register_all_modules(init_default_scope=False)
    base = Path(mmseg.__file__).parent / ".mim/configs/_base_/models/fcn_r50-d8.py"
    if not base.is_file():
        pytest.skip("this mmseg carries no configs")
    save_open_clip_folder(small_clip(), tmp_path / "clip")
    (tmp_path / "host.py").write_text(HOST.format(mmseg=base))
    (tmp_path / "fused.py").write_text(BLOCK.format(clip=tmp_path / "clip"))
    with DefaultScope.overwrite_default_scope("mmseg"):
        torch.manual_seed(0)
        host = MODELS.build(Config.fromfile(tmp_path / "host.py").model)
        fused = MODELS.build(Config.fromfile(tmp_path / "fused.py").model)
    keys = fused.state_dict()
    renamed = {key.replace("backbone.", "backbone.host."): value for key, value in host.state_dict().items()}
    assert set(renamed) < set(keys) and not [key for key in keys if ".clip." in key]
    fused.load_state_dict({**keys, **renamed})
    samples = [SegDataSample(metainfo={"img_shape": (64, 96), "ori_shape": (64, 96)}) for _ in range(2)]
    from mmengine.structures import PixelData

    for sample in samples:
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 4, (1, 64, 96)))
    data = {"inputs": [picture(64, 96), picture(64, 96, seed=1)], "data_samples": samples}
    ready = host.data_preprocessor(data, True)
    host.eval(), fused.eval()
    assert torch.equal(fused(ready["inputs"]), host(ready["inputs"]))
    assert fused.backbone.pictures.channel_order == "rgb"
    with DefaultScope.overwrite_default_scope("mmseg"):  # mmseg hands a config's `model.pretrained` to the backbone
        config = Config.fromfile(tmp_path / "fused.py").model
        assert MODELS.build({**config, "pretrained": "host.pth"}).backbone.host.init_cfg["checkpoint"] == "host.pth"
    torch.testing.assert_close(fused.backbone.pictures(ready["inputs"])[0], picture(64, 96).flip(0) / 255)
    fused.train()
    losses = fused(**fused.data_preprocessor(data, True), mode="loss")
    losses["decode.loss_ce"].backward()
    assert fused.backbone.fusions["3"].project[0].weight.grad.abs().max() > 0


MMDET = """
import importlib.machinery, sys, types, warnings
warnings.simplefilter("ignore")
try:
    import mmcv._ext
except ImportError:  # an mmcv without compiled operators: names that answer, for a model that calls none of them
    class Names(types.ModuleType):
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return lambda *args, **kwargs: (_ for _ in ()).throw(RuntimeError(name))
    sys.modules["mmcv._ext"] = Names("mmcv._ext")
    sys.modules["mmcv._ext"].__spec__ = importlib.machinery.ModuleSpec("mmcv._ext", None)
from pathlib import Path
import mmdet, torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
register_all_modules(init_default_scope=False)
from support.host_parts import picture, small_clip
import clipkit.hosts.fused_backbone
cfg = Config.fromfile(Path(mmdet.__file__).parent / ".mim/configs/_base_/models/retinanet_r50_fpn.py").model
cfg.backbone.update(depth=18, base_channels=8, init_cfg=None)
cfg.neck.update(in_channels=[8, 16, 32, 64], out_channels=16)
cfg.bbox_head.update(in_channels=16, feat_channels=16, stacked_convs=1, num_classes=3)
host = dict(cfg.backbone)
cfg.backbone = dict(type="clipkit.FusedBackbone", clip=small_clip(), host=host, mode="gate",
                    data_preprocessor=dict(cfg.data_preprocessor))
with DefaultScope.overwrite_default_scope("mmdet"):
    model = MODELS.build(cfg)
samples, sizes = [], [(64, 96), (70, 50)]
for size in sizes:
    boxes = torch.tensor([[4.0, 4, 40, 30]])
    sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1, 1)))
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([1]))
    samples.append(sample)
data = model.data_preprocessor(dict(inputs=[picture(*s) for s in sizes], data_samples=samples), True)
assert data["inputs"].shape[-2:] == (96, 96), data["inputs"].shape
assert model.backbone.pictures.valid_sizes(data["inputs"]) == sizes
model.eval()
maps = model.backbone(data["inputs"])
assert all(torch.equal(a, b) for a, b in zip(maps, model.backbone.host(data["inputs"])))
model.train()
losses = model(**data, mode="loss")
sum(sum(v) for v in losses.values()).backward()
assert all(f.amount.grad.abs().max() > 0 for name, f in model.backbone.fusions.items() if name != "0")
print("mmdet trains")
"""


def test_an_mmdet_detector_takes_it_too():
    """In a process of its own: mmdet imports mmcv's operators, which a plain install lacks."""
    if not any((Path(p) / "mmdet").is_dir() for p in sys.path):
        pytest.skip("mmdet is not installed")
    command = [sys.executable, "-c", MMDET]
    environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert "mmdet trains" in done.stdout, done.stderr[-2000:]
