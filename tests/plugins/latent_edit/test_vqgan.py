"""The VQGAN: diffusers' numbers, what its files may not hold, its latents as parameters, and its training."""

import json

import numpy as np
import pytest
import torch
from clipkit_plugins.latent_edit.vq_files import read_vq_model, write_vq_model
from clipkit_plugins.latent_edit.vq_latents import VQLatents, release_cutouts
from clipkit_plugins.latent_edit.vqgan import VQGAN
from safetensors.torch import load_file, save_file
from torch import nn

from clipkit.engine.build import build_runner
from clipkit.errors import ClipkitError
from support.closed_form import closed_form_

SMALL = dict(widths=(8, 16), layers=1, latent_channels=4, codes=16, groups=4, code_channels=3)
ATTENDING = {**SMALL, "attention": [False, True], "decoder_attention": [True, False]}
# sum and sum of squares of diffusers 0.42.1's VQModel with `closed_form_(scale=0.3)` on `_picture()`: latents, decoded
RECORDED = [[39.21437, 32.92442], [10.91468, 2464.251]]


def _picture() -> torch.Tensor:
    index = torch.arange(2 * 3 * 16 * 16, dtype=torch.float64)
    return ((index * 0.37).sin() / 2 + 0.5).float().view(2, 3, 16, 16)


def _folder(path, **options):
    model = closed_form_(VQGAN(**{**ATTENDING, **options}), scale=0.3)
    write_vq_model(model, path, **{**ATTENDING, **options})
    return model


def _figures(latents, decoded):
    return [[float(x.double().sum()), float(x.double().square().sum())] for x in (latents, decoded)]


@torch.no_grad()
def test_numbers_are_those_of_diffusers(tmp_path):
    _folder(tmp_path)
    model = read_vq_model(tmp_path)
    latents = model.encode(_picture())
    np.testing.assert_allclose(_figures(latents, model.decode(latents) * 2 - 1), RECORDED, rtol=1e-4)


@torch.no_grad()
@pytest.mark.slow
def test_pictures_are_those_of_diffusers(tmp_path):
    diffusers = pytest.importorskip("diffusers")
    for number, options in enumerate(({}, {"middle_attention": False, "layers": 2}, {"widths": (8, 8)})):
        _folder(tmp_path / str(number), **options)
        ours = read_vq_model(tmp_path / str(number)).double()  # in float32 what each rounds differs by up to 2e-4
        theirs = diffusers.VQModel.from_pretrained(tmp_path / str(number), torch_dtype=torch.float64).eval()
        picture = _picture().double()
        latents, other = ours.encode(picture), theirs.encode(2 * picture - 1).latents
        torch.testing.assert_close(latents, other, atol=1e-10, rtol=1e-10)
        decoded, expected = ours.decode(latents), theirs.decode(other).sample
        torch.testing.assert_close(2 * decoded - 1, expected, atol=1e-10, rtol=1e-10)
        if not number:
            np.testing.assert_allclose(_figures(other, expected), RECORDED, rtol=1e-4)


def test_a_folder_is_read_as_it_was_written(tmp_path):
    model = _folder(tmp_path)
    again = read_vq_model(tmp_path)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in again.parameters())
    state = load_file(tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    older = {name.replace(".to_q.", ".query.").replace(".to_out.0.", ".proj_attn."): v for name, v in state.items()}
    torch.save(older, tmp_path / "diffusion_pytorch_model.bin")  # names and file of earlier versions
    torch.testing.assert_close(read_vq_model(tmp_path).codebook, model.codebook)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"_class_name": "AutoencoderKL"}, "AutoencoderKL"),
        ({"norm_type": "spatial"}, "norm_type"),
        ({"layers_per_block": 10**9}, "layers_per_block is 1000000000"),
        ({"num_vq_embeddings": "many"}, "num_vq_embeddings"),
        ({"block_out_channels": [8, 17]}, "block_out_channels"),
        ({"block_out_channels": 3}, "block_out_channels"),
        ({"down_block_types": ["DownEncoderBlock2D"]}, "down_block_types"),
        ({"up_block_types": ["import os", "x"]}, "up_block_types"),
        ({"mid_block_add_attention": 1}, "neither true nor false"),
        ({"strange": 1}, "strange is unknown"),
        ({"latent_channels": 5}, "no tensor of"),
        ({"layers_per_block": 2}, "lacks"),
        ({"mid_block_add_attention": False}, "mid_block.attentions"),
    ],
)
def test_a_config_that_does_not_fit_is_told_in_one_line(tmp_path, change, said):
    _folder(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ClipkitError, match=said) as error:
        read_vq_model(tmp_path)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_other_files_are_told_in_one_line(tmp_path):
    _folder(tmp_path / "good")
    weights = tmp_path / "good/diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    save_file({**state, "more": torch.zeros(1)}, weights)
    with pytest.raises(ClipkitError, match="has more, which no VQModel"):
        read_vq_model(tmp_path / "good")
    save_file({**state, "quant_conv.bias": torch.zeros(3, dtype=torch.int32)}, weights)
    with pytest.raises(ClipkitError, match=r"quant_conv\.bias is no tensor"):
        read_vq_model(tmp_path / "good")
    weights.unlink()
    with pytest.raises(ClipkitError, match="save_pretrained"):
        read_vq_model(tmp_path / "good")
    for name, said in (("stylegan2.pkl", "a pickle"), ("last.ckpt", "Lightning"), ("a.bin", "a file")):
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch x'\ntR.")
        with pytest.raises(ClipkitError, match=said):
            read_vq_model(tmp_path / name)
    with pytest.raises(ClipkitError, match="no such folder"):
        read_vq_model(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClipkitError, match=r"config\.json"):
        read_vq_model(tmp_path / "empty")


def test_words_are_the_nearest_and_the_gradient_passes():
    model = closed_form_(VQGAN(**SMALL), scale=0.3)
    latents = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    rows, book = latents.detach().double().numpy(), model.codebook.detach().double().numpy()
    for y in range(2):
        for x in range(2):
            far = [sum((rows[0, c, y, x] - word[c]) ** 2 for c in range(3)) for word in book]
            assert int(model.words(latents)[0, y, x]) == int(np.argmin(far))
    drawn = model.quantise(latents)
    torch.testing.assert_close(drawn[0, :, 0, 1], model.codebook[model.words(latents)[0, 0, 1]])
    (drawn * torch.arange(12.0).view(1, 3, 2, 2)).sum().backward()
    torch.testing.assert_close(latents.grad, torch.arange(12.0).view(1, 3, 2, 2))


def test_latents_stay_within_the_codebook_and_begin_at_the_picture():
    model = closed_form_(VQGAN(**SMALL), scale=0.3).requires_grad_(False)
    moved = VQLatents(model, 2, (16, 16))
    assert [name for name, _ in moved.named_parameters()] == ["latents"]
    moved.init_from(_picture())
    low, high = model.codebook.min(0).values, model.codebook.max(0).values
    expected = np.clip(model.encode(_picture()).numpy(), low[:, None, None].numpy(), high[:, None, None].numpy())
    np.testing.assert_allclose(moved.latents.detach().numpy(), expected)
    picture = moved.decode()
    assert picture.shape == (2, 3, 16, 16) and picture.min() >= 0 and picture.max() <= 1
    with pytest.raises(ClipkitError, match="multiples of 2"):
        VQLatents(model, 1, (15, 16))


def test_beyond_white_the_gradient_passes_only_inwards():
    class Given(nn.Module):
        stride, codebook = 1, torch.tensor([[-9.0, -9, -9], [9.0, 9, 9]])

        def decode(self, latents):
            return latents

    moved = VQLatents(Given(), 1, (1, 1))
    with torch.no_grad():
        moved.latents.copy_(torch.tensor([1.5, -0.5, 0.5]).view(1, 3, 1, 1))
    for sign, expected in ((1.0, [1.0, 0.0, 1.0]), (-1.0, [0.0, -1.0, -1.0])):
        moved.latents.grad = None
        (sign * moved.decode()).sum().backward()
        assert moved.latents.grad.flatten().tolist() == expected


def test_the_releases_warps():
    (copies,) = release_cutouts(32, 4, seed=1)(torch.rand(1, 3, 40, 40))
    assert copies.shape == (4, 3, 32, 32) and torch.isfinite(copies).all()


def test_it_learns_by_its_config_and_leaves_a_generator(tmp_path):
    options = {
        "train_cfg.max_iters": 6, "train_cfg.val_interval": 6, "train_dataloader.batch_size": 2,
        "val_dataloader.dataset.length": 4, "model.restart": 2, "param_scheduler.1.end": 60,
        "variables.folder": str(tmp_path / "vqgan"),
    }  # fmt: skip
    runner = build_runner(
        "latent_edit/vqgan_tiny_shapes.py", work_dir=tmp_path, seed=0, cfg_options=options, for_training=True
    )
    before = runner.bare_model.vqgan.codebook.detach().clone()
    runner.train()
    scores = runner.val()
    assert scores["psnr"] > 4 and 1 <= scores["codes"] <= 512
    assert (runner.bare_model.vqgan.codebook - before).abs().max() > 1e-3
    model = read_vq_model(tmp_path / "vqgan")
    torch.testing.assert_close(model.codebook, runner.bare_model.vqgan.codebook.detach())
