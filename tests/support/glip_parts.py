"""Small GLIP models: with a BERT of our own in the released layout, and the embedded world's."""

import json
from pathlib import Path

import torch
from mmengine.registry import DefaultScope

from clipkit.engine import load_plugins
from clipkit.engine.build import prepare_config
from clipkit.engine.registry import MODELS

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "a", "man", "left", "of", "the", "red", "car", "##s", "blue", "ring"]


def bert_folder(folder: Path) -> Path:
    """`config.json` and `vocab.txt` of a BERT of width 24."""
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 32}
    config = {**sizes, "vocab_size": len(WORDS), "max_position_embeddings": 64}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return folder


def narrow(folder: Path) -> dict:
    """Options that make the released architecture an eighth as wide, with two blocks."""
    return {
        "variables.bert": str(bert_folder(folder)),
        "model.text.max_tokens": 32,
        "model.backbone.embed_dims": 12,
        "model.backbone.depths": [1, 1, 1, 1],
        "model.backbone.num_heads": [1, 2, 3, 6],
        "model.neck.in_channels": [24, 48, 96],
        "model.neck.out_channels": 32,
        "model.bbox_head.in_channels": 32,
        "model.bbox_head.channels": 32,
        "model.bbox_head.blocks": 2,
        "model.bbox_head.fuse.dim": 48,
        "model.bbox_head.text_layer.heads": 3,
        "model.bbox_head.text_layer.hidden": 32,
    }


def released(folder: Path, deep: bool = True) -> torch.nn.Module:
    """The released architecture, narrow."""
    config = "glip/glip_swin_t.py" if deep else "glip/glip_swin_t_shallow.py"
    return built(config, narrow(folder))


def world(deep: bool = False, **options) -> torch.nn.Module:
    """The embedded world's model, untrained."""
    return built("glip/glip_tiny_shapes_deep.py" if deep else "glip/glip_tiny_shapes.py", options)


def built(config: str, options: dict) -> torch.nn.Module:
    load_plugins("glip")
    cfg = prepare_config(config, cfg_options=options, for_training=False)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(cfg.model).eval()
