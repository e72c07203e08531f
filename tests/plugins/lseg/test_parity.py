"""LSeg against the original (isl-org/lang-seg), which was run aside: parity.json holds what it computed, and
lseg_official.py the closed formula from which both have their weights. Every part in float64, the logits in float32."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("mmseg")

from clipkit_plugins.lseg.convert import TOWERS, Sizes, convert, layout
from mmengine.registry import DefaultScope

from clipkit.engine.registry import MODELS
from support.lseg_official import images, label_rows, official_state, probe, unused_shapes

RECORDED = json.loads(Path(__file__).with_name("parity.json").read_text())
NAMES = [f"label {i}" for i in range(7)]
SMALL = dict(embed_dim=48, num_heads=4)
TOWER = {
    "vitl16": dict(type="TimmTower", name="vit_large_patch16_384", layers=(5, 11, 17, 23)),
    "vitb32": dict(type="TimmTower", name="vit_base_patch32_384", layers=(2, 5, 8, 11)),
    "rn101": dict(type="TimmPyramid", name="resnet101"),
}
CASES = {
    "vitl16": ("vitl16", Sizes((12, 16, 24, 24), 16, 512, False, 48, 577, 16), SMALL, (2, 3, 64, 96)),
    "vitb32": ("vitb32", Sizes((6, 12, 24, 48), 16, 512, False, 48, 145, 32), SMALL, (1, 3, 96, 128)),
    "rn101": ("rn101", Sizes((256, 512, 1024, 2048), 16), dict(layers=(1, 2, 2, 1)), (2, 3, 64, 96)),
    "vitl16 full": ("vitl16", Sizes(), {}, (1, 3, 96, 96)),
}
PREFIXES = {
    "pretrained_model": "net.pretrained.model.",
    "act_postprocess": "net.pretrained.act_postprocess",
    "scratch": "net.scratch.",
}
FACTORS = {"vitl16": (4, 2, 1, 0.5), "vitb32": (8, 4, 2, 1), "rn101": None}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    np.save(folder / "rows.npy", label_rows(7).numpy())
    (folder / "rows.json").write_text(json.dumps(NAMES))
    return str(folder / "rows.npy")


@pytest.fixture(autouse=True)
def short_resnet(monkeypatch):
    """The recorded small ResNet has fewer blocks."""
    monkeypatch.setitem(TOWERS, "rn101", replace(TOWERS["rn101"], depth=(1, 2, 2, 1)))


def build(case, text, block=None):
    """LSeg as the original's, float64, with the formula's weights, by way of the converter."""
    tower, sizes, model_args, _ = CASES[case]
    with DefaultScope.overwrite_default_scope("clipkit"):
        model = MODELS.build(
            dict(
                type="LSeg",
                classes=NAMES,
                text=dict(path=text),
                tower=dict(**TOWER[tower], model_args=model_args),
                decoder=dict(
                    type="DPTDecoder", features=sizes.features, channels=sizes.channels, factors=FACTORS[tower]
                ),
                block=block,
                learn_scale=False,
                align_corners=True,
                precision="fp32",
            )
        )
    state = official_state(tower, replace(sizes, block=block is not None))
    model.double().load_state_dict(convert(state).state, strict=True)
    return model.eval()


def agrees(got, wanted, tolerance):
    assert got["shape"] == wanted["shape"]
    size = max(1.0, wanted["square"] ** 0.5)
    values = np.array(got["values"]) - wanted["values"]
    assert np.abs(values).max() <= tolerance * size
    assert got["mean"] == pytest.approx(wanted["mean"], abs=tolerance * size)
    assert got["square"] == pytest.approx(wanted["square"], abs=tolerance * size**2)


def check_parts(model, case):
    """Tower, reassembled maps, fusions and pixel embeddings, in float64."""
    found = {}

    def keep(name):
        return lambda module, inputs, out: found.__setitem__(name, out)

    levels = model.decoder.reassemble or ()
    for name, parts in (("level", levels), ("fusion", model.decoder.fusions)):
        for i, part in enumerate(parts):
            part.register_forward_hook(keep(f"{name}{i}"))
    model.tower.register_forward_hook(keep("tower"))
    with torch.no_grad():
        found["embedding"] = model.extract_feat(images(*CASES[case][3]))
    tower = found.pop("tower")
    if levels:
        for i, (grid, token) in enumerate(zip(*tower)):
            found[f"tokens{i}"] = torch.cat([token[:, None], grid.flatten(2).transpose(1, 2)], dim=1)
    else:
        found |= {f"level{i}": level for i, level in enumerate(tower)}
    wanted = RECORDED["cases"][case]
    assert set(found) == set(wanted) - {"stride2", "logits"}
    for name, value in found.items():
        agrees(probe(value), wanted[name], 1e-8)


def check_logits(model, key, labels=None):
    """Logits at the decoder's and at the image's size, in float32."""
    model = model.float()
    x = images(*CASES[key if key in CASES else key.split(" ")[0]][3]).float()
    with torch.no_grad():
        if labels is None:
            stride2 = model.label_logits(model.extract_feat(x), model.label_text)
            logits = model.encode_decode(x)
        else:  # the zero-shot network has labels of its own for every image
            outs = []
            for image, names in zip(x, labels):
                model.set_labels(names)
                one = model.label_logits(model.extract_feat(image[None]), model.label_text)
                outs.append((one, model.encode_decode(image[None])))
            stride2, logits = (torch.cat(parts) for parts in zip(*outs))
    wanted = RECORDED["cases"][key]
    for got, name in ((stride2, "stride2"), (logits, "logits")):
        agrees(probe(got), wanted[name], 1e-5)


@pytest.mark.parametrize("case", ["vitl16", "vitb32"])
def test_vit_equals_the_original(case, text):
    model = build(case, text)
    check_parts(model, case)
    check_logits(model, case)


@pytest.mark.parametrize("case", [key for key in RECORDED["cases"] if "bottleneck" in key or "depthwise" in key])
def test_blocks_equal_the_original(case, text):
    name, kind, depth, activation = case.split(" ")
    check_logits(build(name, text, dict(kind=kind, depth=int(depth), activation=activation)), case)


def test_resnet_equals_the_original(text):
    model = build("rn101", text)
    check_parts(model, "rn101")
    check_logits(model, "rn101", labels=(["label 0", "label 3"], ["label 0", "label 5"]))  # label 0 was "others"


@pytest.mark.slow
def test_the_real_vit_l_equals_the_original(text):
    model = build("vitl16 full", text)
    check_parts(model, "vitl16 full")
    check_logits(model, "vitl16 full")


@pytest.mark.parametrize("case", RECORDED["keys"])
def test_the_layout_is_the_originals(case, monkeypatch):
    if case == "rn101 full":
        monkeypatch.setitem(TOWERS, "rn101", replace(TOWERS["rn101"], depth=(3, 4, 23, 3)))
        tower, sizes = "rn101", Sizes((256, 512, 1024, 2048))
    else:
        tower, sizes, _, _ = CASES[case]
    shapes = {f"net.{key}": shape for key, (_, shape) in layout(tower, sizes).items()}
    shapes |= {k: v for k, v in unused_shapes(tower, sizes).items() if "clip_pretrained" not in k}
    lines = sorted(f"{key} {tuple(shape)}" for key, shape in shapes.items())
    wanted = RECORDED["keys"][case]
    assert len(lines) == wanted["count"]
    for part in PREFIXES:
        assert sum(line.startswith(PREFIXES[part]) for line in lines) == wanted[part]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == wanted["sha256"]
