"""A small CLIP and the files that tests store it in."""

import warnings

import open_clip
import pytest
import torch

from clipkit.backbone._load import load_weights
from support.closed_form import closed_form_

SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"layers": 2, "width": 64, "head_width": 32, "patch_size": 8, "image_size": 32},
    "text_cfg": {"context_length": 12, "vocab_size": 60, "width": 32, "heads": 2, "layers": 2},
}


def clip(quick_gelu=True, **vision):
    cfg = {**SMALL, "vision_cfg": {**SMALL["vision_cfg"], **vision}}
    return closed_form_(open_clip.CLIP(**cfg, quick_gelu=quick_gelu)).eval()


class OpenAILike(torch.nn.Module):
    """open_clip's small CLIP with the three numbers that OpenAI's exports carry as buffers."""

    def __init__(self, model):
        super().__init__()
        for name, child in model.named_children():
            setattr(self, name, child)
        for name, parameter in model.named_parameters(recurse=False):
            setattr(self, name, parameter)
        self.register_buffer("attn_mask", model.attn_mask)
        for name, number in (("input_resolution", 32), ("context_length", 12), ("vocab_size", 60)):
            self.register_buffer(name, torch.tensor(number))
        self.model = [model]  # out of the module tree, for the traced forward

    def forward(self, image, text):
        return self.model[0](image, text)[0] + (self.input_resolution + self.context_length + self.vocab_size) * 0


def save_torchscript(model, path):
    """What OpenAI's release is: a traced, half-precision program with its weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = (torch.rand(1, 3, 32, 32), torch.arange(12)[None])
        torch.jit.save(torch.jit.trace(OpenAILike(model), example, check_trace=False), str(path))
    return path


def assert_same(state, model):
    expected = model.state_dict()
    assert list(state) == list(expected)
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value, rtol=0, atol=0, check_dtype=False)
    torch.nn.Module.load_state_dict(model, state, strict=True)


def one_line(error):
    text = str(error.value)
    assert "\n" not in text and len(text) < 600
    return text


def transformers_clip(folder, hidden_act="quick_gelu", **vision):
    transformers = pytest.importorskip("transformers")
    text = {"hidden_size": 32, "intermediate_size": 72, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"vocab_size": 60, "max_position_embeddings": 12, "eos_token_id": 59, "hidden_act": hidden_act}
    image = {"hidden_size": 64, "intermediate_size": 100, "num_hidden_layers": 2, "num_attention_heads": 4}
    image |= {"image_size": 32, "patch_size": 8, "hidden_act": hidden_act} | vision
    config = transformers.CLIPConfig(text_config=text, vision_config=image, projection_dim=16)
    model = closed_form_(transformers.CLIPModel(config)).eval()
    model.save_pretrained(folder)
    return model


def build(source):
    with source.factory_name() as name:
        model = open_clip.create_model(name, load_weights=False)
    model.load_state_dict(load_weights(source.weights, model, name=source.name))
    return model.eval()
