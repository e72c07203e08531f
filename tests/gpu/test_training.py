"""Training steps of each kind through the real Runner, plain and in mixed precision; resuming; using the result."""

import numpy as np
import pytest
import torch

pytest.importorskip("mmseg")

from mmengine.hooks import Hook

from clipkit.adapters import ContrastiveLoss, LogitScale
from clipkit.backbone import FrozenCLIP, TunableCLIP, save_open_clip_folder
from clipkit.engine import Segmenter, build_runner, load_config
from support.gpu_device import COMPILER, DEVICE, ON_GPU, fp16_training, frozen, gpu
from support.gpu_device import exact as exact

pytestmark = gpu
TINY = dict(name="tiny-shapes")
BATCH = 4


@pytest.fixture(scope="module", autouse=True)
def clip_folder(tmp_path_factory):
    """A CLIP on disk, the same for all tests, that knows nothing: nothing tested here depends on what CLIP knows."""
    folder = save_open_clip_folder(frozen("tiny-shapes", "cpu"), tmp_path_factory.mktemp("clip"), precision="fp32")
    TINY["name"] = f"local-dir:{folder}"


def training_alone(name):
    """An installed config without validation and pictures, with few and small batches."""
    cfg = load_config(name)
    for part in ("val", "test"):
        for key in ("dataloader", "cfg", "evaluator"):
            cfg[f"{part}_{key}"] = None
    cfg.custom_hooks = []
    cfg.param_scheduler = []
    cfg.default_hooks = dict(checkpoint=dict(type="clipkit.AtomicCheckpointHook", interval=10**6, save_last=False))
    return cfg


def contrastive():
    cfg = training_alone("clip/tiny_shapes.py")
    cfg.train_dataloader.dataset.batch = BATCH
    return cfg


def lseg(name="lseg/lseg_tiny_shapes.py", keep=False):
    cfg = load_config(name) if keep else training_alone(name)
    cfg.train_dataloader.batch_size = BATCH
    cfg.train_dataloader.dataset.length = 4 * BATCH
    cfg.model.text.clip = TINY["name"]
    cfg.model.precision = "fp32"  # mixed precision is the optimiser wrapper's here
    return cfg


def lseg_frozen():
    return lseg("lseg/lseg_tiny_shapes_frozen.py")


def linear_head(backbone):
    """mmseg's own segmentor on a small ResNet."""
    cfg = lseg()
    head = dict(type="mmseg.FCNHead", in_channels=64, channels=16, in_index=3, num_convs=1, num_classes=102)
    loss = dict(type="mmseg.CrossEntropyLoss")
    cfg.model = dict(
        type="mmseg.EncoderDecoder",
        data_preprocessor=dict(cfg.data_preprocessor),
        backbone=backbone,
        decode_head=dict(**head, norm_cfg=dict(type="BN"), align_corners=False, loss_decode=loss),
        train_cfg=dict(),
        test_cfg=dict(mode="whole"),
    )
    return cfg


RESNET = dict(type="mmseg.ResNetV1c", depth=18, base_channels=8, norm_cfg=dict(type="BN"))


def fusion():
    preprocessor = dict(lseg().data_preprocessor)
    return linear_head(
        dict(type="clipkit.FusedBackbone", host=RESNET, clip=TINY, data_preprocessor=preprocessor, zero_init=False)
    )


def distillation():
    cfg = linear_head(RESNET)
    cosine = dict(type="clipkit.CosineDistillLoss")
    targets = [
        dict(layer="backbone.layer1", kind="dense", channels=8, loss=cosine),
        dict(layer="backbone.layer4", kind="image", channels=64, loss=cosine),
    ]
    cfg.model = dict(type="clipkit.DistilledModel", student=cfg.model, clip=TINY, targets=targets)
    return cfg


KINDS = {kind.__name__: kind for kind in (contrastive, lseg, lseg_frozen, fusion, distillation)}


class Record(Hook):
    """Losses of all steps."""

    def __init__(self):
        self.losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(float(outputs["loss"]))


def train(cfg, folder, steps, **options):
    """(runner, losses, weights before) of a short training."""
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=steps)
    runner = build_runner(cfg, work_dir=folder, seed=3, **options)
    record = Record()
    runner.register_hook(record)
    before = {name: p.detach().cpu().clone() for name, p in runner.bare_model.named_parameters()}
    runner.train()
    return runner, record.losses, before


def check_step(runner, losses, before, steps):
    assert len(losses) == steps and np.isfinite(losses).all()
    parameters = dict(runner.bare_model.named_parameters())
    assert all(p.device.type == torch.device(DEVICE).type for p in parameters.values())
    assert all(p.dtype == torch.float32 for p in parameters.values()), "mixed precision keeps its weights in float32"
    frozen_names = {
        f"{path}.{name}"
        for path, module in runner.bare_model.named_modules()
        if isinstance(module, FrozenCLIP)
        for name, _ in module.named_parameters()
    }
    moved = {name for name, p in parameters.items() if not torch.equal(p.detach().cpu(), before[name])}
    assert not moved & frozen_names, "the frozen CLIP changed"
    assert bool(frozen_names) == (type(runner.bare_model).__name__ != "ContrastivePretrainer")
    still = {name for name, p in parameters.items() if p.requires_grad} - moved
    # A bias before a normalisation has no gradient, and a text embedding none unless its word occurs.
    assert len(still) <= 0.1 * len(parameters), f"weights that did not train: {sorted(still)[:9]}"


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("amp", [False, "bf16", fp16_training])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_each_kind(kind, amp, tmp_path):
    steps = 10 if amp == "fp16" else 2  # fp16 may skip its first steps while the loss scale settles
    runner, losses, before = train(KINDS[kind](), tmp_path / "run", steps, amp=amp)
    check_step(runner, losses, before, steps)
    if amp:
        assert runner.optim_wrapper.dtype == {"bf16": torch.bfloat16, "fp16": torch.float16}[amp]
        assert runner.optim_wrapper.loss_scaler.is_enabled() == (amp == "fp16")
        _, plain, _ = train(KINDS[kind](), tmp_path / "plain", 1)
        assert losses[0] == pytest.approx(plain[0], rel=0.03) and losses[0] != plain[0]


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("amp", ["bf16", fp16_training])
def test_a_run_in_mixed_precision_resumes(amp, tmp_path):
    def config():
        cfg = lseg()
        cfg.default_hooks.checkpoint.interval = 3
        return cfg

    _, whole, _ = train(config(), tmp_path / "whole", 6, amp=amp)
    train(config(), tmp_path / "parts", 3, amp=amp)
    runner, rest, _ = train(config(), tmp_path / "parts", 6, amp=amp, resume=True)
    assert len(rest) == 3 and runner.iter == 6
    # On a GPU sums of gradients have no fixed order; on a CPU the curve is the same bit for bit.
    assert rest == (pytest.approx(whole[3:], rel=0.02) if ON_GPU else whole[3:])


@pytest.mark.usefixtures("exact")
def test_a_model_trained_here_predicts_here_and_on_the_cpu(tmp_path):
    cfg = lseg()
    cfg.default_hooks.checkpoint.interval = 2
    train(cfg, tmp_path, 2)
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    labels = "red star, water; sea, blue ring"
    here, there = (Segmenter.load(cfg, tmp_path / "iter_2.pth", device)(image, labels) for device in ("cpu", DEVICE))
    assert here.names == there.names == ("red star", "water", "blue ring")
    assert (here.labels.cpu() == there.labels.cpu()).float().mean() > 0.99
    torch.testing.assert_close(there.scores.cpu(), here.scores.cpu(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("amp", [False, "bf16"])
def test_validation_scores_other_labels_and_draws(amp, tmp_path):
    cfg = lseg(keep=True)
    cfg.param_scheduler = []
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.batch_size = loader.dataset.length = BATCH
    runner, _, _ = train(cfg, tmp_path, 1, amp=amp)
    scores = runner.val()
    assert {"seen", "unseen", "harmonic_mean", "mIoU"} <= set(scores) and 0 <= scores["mIoU"] <= 100
    assert (tmp_path / "predictions.png").is_file()
    runner.bare_model.set_labels("water; sea, grass, unicorn")
    assert np.isfinite(runner.val()["mIoU"])


def test_zero_shot_validation_of_pretraining(tmp_path):
    cfg = load_config("clip/tiny_shapes.py")
    cfg.train_dataloader.dataset.batch = BATCH
    cfg.custom_hooks = []
    cfg.val_cfg.count = 20
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=1)
    scores = build_runner(cfg, work_dir=tmp_path).val()
    assert {"composition", "texture", "R@1"} <= set(scores) and np.isfinite(list(scores.values())).all()


@pytest.mark.usefixtures("exact")
def test_lseg_compiled_trains_as_eager(tmp_path):
    cfg = lseg()
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=1)
    model = build_runner(cfg, work_dir=tmp_path).bare_model.to(DEVICE).eval()  # no batch statistics: one image counts
    torch.compiler.reset()
    compiled = torch.compile(model.extract_feat, backend=COMPILER)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    results = []
    for forward in (model.extract_feat, compiled):
        model.zero_grad()
        out = forward(images)
        out.square().mean().backward()
        results.append([out.detach(), model.head.weight.grad.clone(), next(model.tower.parameters()).grad.clone()])
    for eager, fast in zip(*results):
        scale = eager.abs().max()
        assert scale > 0
        torch.testing.assert_close(fast / scale, eager / scale, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("amp", [None, torch.bfloat16])
def test_partial_unfreezing_and_soft_prompts(amp):
    """Gradients pass through frozen towers to what trains, and what was not asked to train stays bit-identical."""
    clip = TunableCLIP(frozen("vit").model).unfreeze("logit_scale", "visual.proj")
    prompts = torch.nn.Parameter(clip.embed_tokens(clip.tokenize(["a red star", "water", "a blue ring"])).clone())
    before = {name: p.detach().clone() for name, p in clip.named_parameters()}
    trained = [p for p in clip.parameters() if p.requires_grad]
    assert len(trained) == 2
    optimizer = torch.optim.AdamW([prompts, *trained], lr=0.01, weight_decay=0.1)
    start = prompts.detach().clone()
    images = torch.rand(3, 3, 64, 64, device=DEVICE)
    ends = torch.full((3,), 5, device=DEVICE)
    for _ in range(2):
        with torch.autocast(torch.device(DEVICE).type, dtype=amp or torch.bfloat16, enabled=amp is not None):
            image, text = clip.encode_image(images), clip.encode_embeddings(prompts, ends)
            loss = ContrastiveLoss(chunk=2)(image, text, clip.logit_scale_log.exp())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss) and not torch.equal(prompts, start)
    moved = {name for name, p in clip.named_parameters() if not torch.equal(p, before[name])}
    assert len(moved) == 2 and any(name.endswith("visual.proj") for name in moved)


def test_logit_scale_keeps_itself_in_its_bounds():
    scale = LogitScale(99.0).to(DEVICE)
    optimizer = torch.optim.SGD(scale.parameters(), lr=10.0)
    (-scale()).backward()
    optimizer.step()
    assert float(scale()) == pytest.approx(100.0, rel=1e-5)
