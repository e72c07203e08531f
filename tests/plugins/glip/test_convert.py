"""Official GLIP files, key for key, on made-up weights in their layout."""

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmdet)

pytest.importorskip("mmdet")
pytest.importorskip("transformers")

from clipkit_plugins.glip.convert import BERT_LAYER, DYCONV, FPN, FUSE, FUSE_SCALES, HEAD, HEAD_VALUES, convert
from mmdet.models.backbones.swin import PatchMerging

from clipkit.engine.build import prepare_config
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from support.glip_parts import bert_folder, released


def official(model, deep):
    """A state dict in the official layout that stands for a model of ours, by the tables of the reference."""
    back = {v: k for table in (DYCONV,) for k, v in table.items()}
    text, fuse = ({v: k for k, v in table.items()} for table in (BERT_LAYER, FUSE))
    scales, head = {v: k for k, v in FUSE_SCALES.items()}, {v: k for k, v in HEAD.items()}
    values, fpn = {v: k for k, v in HEAD_VALUES.items()}, {v: k for k, v in FPN.items()}
    out = {}
    for key, value in model.state_dict().items():
        name, _, kind = key.rpartition(".")
        if key.startswith("text.bert."):
            new = "module.language_backbone.body.model." + key.removeprefix("text.bert.")
        elif key.startswith("neck."):
            new = f"module.backbone.fpn.{fpn[name.removeprefix('neck.')]}.{kind}"
        elif key.startswith("backbone."):
            new = "module.backbone.body." + _official_swin(key.removeprefix("backbone."))
        elif key == "bbox_head.scales":
            out |= {f"module.rpn.head.scales.{i}.scale": v[None] for i, v in enumerate(value)}
            continue
        elif key.startswith("bbox_head.tower."):
            _, _, block, part, rest = key.split(".", 4)
            rest_name = rest.rpartition(".")[0]
            number = 3 * int(block) + ("fuse", "text", "image").index(part) if deep else int(block)
            if part == "fuse":
                rest = f"b_attn.{scales[rest]}" if rest in scales else f"b_attn.{fuse[rest_name]}.{kind}"
            else:
                rest = f"{(text if part == 'text' else back)[rest_name]}.{kind}"
            new = f"module.rpn.head.dyhead_tower.{number}.{rest}"
        else:
            new = "module.rpn.head."
            new += f"{head[name]}.{kind}" if name in head else values[key.removeprefix("bbox_head.")]
        out[new] = value.clone()
    out["module.rpn.head.cls_logits.weight"] = torch.zeros(80, 32, 1, 1)
    out["module.language_backbone.body.model.pooler.dense.bias"] = torch.zeros(8)
    out["module.language_backbone.body.model.embeddings.position_ids"] = torch.arange(8)[None]
    return out


def _official_swin(key):
    for ours, theirs in (
        ("patch_embed.projection", "patch_embed.proj"),
        ("stages.", "layers."),
        ("attn.w_msa.", "attn."),
        ("ffn.layers.0.0", "mlp.fc1"),
        ("ffn.layers.1", "mlp.fc2"),
    ):
        key = key.replace(ours, theirs)
    return key


@pytest.mark.parametrize("deep", [True, False])
def test_every_key_is_used_or_named(tmp_path, deep):
    model = released(tmp_path, deep)
    state = official(model, deep)
    converted = convert(state)
    ours = model.state_dict()
    assert set(converted.state) == set(ours)
    merging = {key for key in ours if "downsample" in key}
    assert merging
    for key, value in converted.state.items():
        assert value.shape == ours[key].shape and (key in merging or torch.equal(value, ours[key])), key
    assert any("2 blocks" in note and ("deep" if deep else "shallow") in note for note in converted.notes)
    assert sum("left out: 1 of" in note for note in converted.notes) == 3


def test_merging_gathers_its_pixels_in_mmdets_order():
    """Swin's own: cat of x[0::2, 0::2], x[1::2, 0::2], x[0::2, 1::2], x[1::2, 1::2], norm, linear."""
    norm, reduction = torch.rand(12), torch.rand(6, 12)
    key = "module.backbone.body.layers.0.downsample.{}.weight"
    state = {key.format("norm"): norm, key.format("reduction"): reduction}
    head = {"module.rpn.head.dyhead_tower.0.offset.weight": torch.zeros(27, 3, 3, 3)}
    found = convert({**state, **head}).state
    merging = PatchMerging(3, 6)
    merging.norm.bias.data.zero_()
    merging.norm.weight.data.copy_(found["backbone.stages.0.downsample.norm.weight"])
    merging.reduction.weight.data.copy_(found["backbone.stages.0.downsample.reduction.weight"])
    x = torch.rand(1, 4, 6, 3)
    gathered = torch.cat([x[:, i::2, j::2] for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))], -1)
    wanted = torch.nn.functional.layer_norm(gathered, (12,), norm) @ reduction.T
    assert (merging(x.flatten(1, 2), (4, 6))[0] - wanted.flatten(1, 2)).abs().max() <= 1e-5


def test_what_has_no_place_is_named(tmp_path):
    state = official(released(tmp_path, True), True)
    with pytest.raises(ClipkitError, match=r"no place in GLIP: module\.rpn\.head\.token_logits\.weight"):
        convert({**state, "module.rpn.head.token_logits.weight": torch.zeros(1)})
    with pytest.raises(ClipkitError, match="is no checkpoint of GLIP"):
        convert({"module.rpn.head.log_scale": torch.zeros(1)})
    with pytest.raises(ClipkitError, match="not back"):
        convert(state, reverse=True)


@pytest.mark.parametrize(("config", "width"), [("glip/glip_swin_t.py", 96), ("glip/glip_swin_l.py", 192)])
def test_the_released_sizes_fit_their_configs(tmp_path, config, width):
    """Not built: 900 MB. Heads, stages and blocks as the release's own configs have them."""
    cfg = prepare_config(config, cfg_options={"variables.bert": str(bert_folder(tmp_path))}, for_training=False)
    assert cfg.model.backbone.embed_dims == width
    assert cfg.model.neck.in_channels == [2 * width, 4 * width, 8 * width]
    assert cfg.model.bbox_head.blocks == (6 if width == 96 else 8)


def test_without_bert_one_line_says_so(tmp_path):
    cfg = prepare_config(
        "glip/glip_swin_t.py", cfg_options={"variables.bert": str(tmp_path / "nowhere")}, for_training=False
    )
    with pytest.raises(ClipkitError, match=r"nowhere: has no config\.json: give the folder of bert-base-uncased"):
        MODELS.build(cfg.model.text)
