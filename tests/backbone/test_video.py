"""Frames through the image tower: one by one, through 3D patches, with shifted tokens, jointly."""

import copy

import pytest
import torch
import torch.nn.functional as F

from clipkit.backbone import FrozenCLIP, TunableCLIP, save_open_clip_folder
from clipkit.backbone._video import TemporalConv, shift_tokens
from clipkit.shapes import tiny_clip
from support.backbone_models import photos, small_model

M, T = 2, 3
VITS = ["vit", "vit-avg", "timm-vit", "timm-vit-avg", "siglip"]


def videos(size=32):
    return photos(M * T, 3, size, size).view(M, T, 3, size, size)


def tunable(family="vit"):
    return TunableCLIP(small_model(family)).double().eval()


@pytest.mark.parametrize("family", ["vit", "timm-vit", "resnet", "convnext"])
def test_frames_are_images_one_by_one(family):
    clip, size = FrozenCLIP(small_model(family)), 64 if family in ("resnet", "convnext") else 32
    expected = torch.stack([clip.encode_image(video, normalize=False) for video in videos(size)])
    torch.testing.assert_close(clip.encode_frames(videos(size)), expected, rtol=0, atol=1e-5)
    unit = clip.encode_frames(videos(size), normalize=True)
    torch.testing.assert_close(unit.norm(dim=-1), torch.ones(M, T), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"must be \(M, F, 3, H, W\)"):
        clip.encode_frames(videos(size)[0])


@pytest.mark.parametrize("family", ["vit", "timm-vit", "eva", "resnet"])
def test_3d_patches_equal_2d_bit_for_bit_at_the_start(family):
    clip, size = TunableCLIP(small_model(family)).eval(), 64 if family == "resnet" else 32
    with torch.no_grad():
        before = clip.encode_frames(videos(size))
        assert torch.equal(clip.inflate_patches().encode_frames(videos(size)), before)
    with pytest.raises(ValueError, match="3 frames already"):
        clip.inflate_patches()


def test_3d_patches_of_the_tiny_clips_stem():
    frozen = tiny_clip()
    clip = TunableCLIP(copy.deepcopy(frozen.model)).eval()
    with torch.no_grad():
        assert torch.equal(clip.inflate_patches().encode_frames(videos(64)), frozen.encode_frames(videos(64)))


def test_3d_patches_are_a_3d_convolution():
    conv = torch.nn.Conv2d(3, 5, 4, 4).double()
    layer = TemporalConv(conv)
    with torch.no_grad():
        layer.weight.copy_(torch.randn_like(layer.weight))
    layer.frames, x = T, videos(8).double()
    expected = F.conv3d(x.transpose(1, 2), layer.weight, conv.bias, stride=(1, 4, 4), padding=(1, 0, 0)).transpose(1, 2)
    torch.testing.assert_close(layer(x.flatten(0, 1)).unflatten(0, (M, T)), expected, rtol=0, atol=1e-12)


def test_3d_patches_alone_train_and_then_see_time():
    clip = TunableCLIP(small_model("vit")).inflate_patches()
    names = [key for key, parameter in clip.named_parameters() if parameter.requires_grad]
    assert names == ["model.visual.conv1.weight"]
    optimizer = torch.optim.SGD([clip.model.visual.conv1.weight], lr=0.1)
    (clip.encode_frames(videos(), normalize=True)[:, 1] ** 3).sum().backward()
    assert all(clip.model.visual.conv1.weight.grad[:, :, tap].abs().max() > 0 for tap in range(3))
    optimizer.step()
    clip.eval()
    flipped = clip.encode_frames(videos().flip(1)).flip(1)
    assert (flipped - clip.encode_frames(videos())).abs().max() > 1e-5
    # A lone image is a video of one frame.
    image = videos()[0, :1]
    torch.testing.assert_close(clip.encode_image(image, normalize=False), clip.encode_frames(image[None])[0])


def test_shift_equals_loops():
    x, prefix, divisor = torch.randn(M * T, 4, 16), 1, 8
    out = shift_tokens(x, T, prefix, divisor)
    for video in range(M):
        for t in range(T):
            for token in range(4):
                for channel in range(16):
                    source = t
                    if token >= prefix and channel < 4:
                        source = t + 1 if channel < 2 else t - 1
                    expected = x[video * T + source, token, channel] if 0 <= source < T else 0
                    assert out[video * T + t, token, channel] == expected


def open_clip_pass(visual, images, blocks):
    """open_clip's tower from its own modules; `blocks` runs the transformer on tokens of all frames."""
    x = visual.conv1(images).flatten(2).transpose(1, 2)
    x = torch.cat((visual.class_embedding.expand(len(x), 1, -1), x), dim=1) + visual.positional_embedding
    return visual.ln_post(blocks(x)[:, 0]) @ visual.proj


def test_shift_runs_before_every_block():
    clip = tunable().shift_tokens(divisor=4)
    visual = clip.model.visual

    def blocks(x):
        x = visual.ln_pre(x)
        for block in visual.transformer.resblocks:
            x = block(shift_tokens(x, T, 1, 4))
        return x

    expected = open_clip_pass(visual, clip._normalised(videos().double().flatten(0, 1)), blocks).unflatten(0, (M, T))
    torch.testing.assert_close(clip.encode_frames(videos().double()), expected, rtol=0, atol=1e-10)
    plain = tunable().encode_frames(videos().double())
    assert (plain - expected).abs().max() > 1e-4
    # The middle frame tells its neighbours apart.
    assert (clip.encode_frames(videos().double().flip(1))[:, 1] - expected[:, 1]).abs().max() > 1e-5


def test_joint_attention_is_one_sequence():
    clip = tunable().join_frames(T + 1)
    visual = clip.model.visual
    with torch.no_grad():
        clip.time_embedding.copy_(0.3 * torch.randn_like(clip.time_embedding))

    def blocks(x):
        frames = [x[t::T] for t in range(T)]
        patches = [frame[:, 1:] + clip.time_embedding[t] for t, frame in enumerate(frames)]
        x = visual.ln_pre(torch.cat((frames[0][:, :1], *patches), dim=1))
        return visual.transformer(x)

    expected = open_clip_pass(visual, clip._normalised(videos().double().flatten(0, 1)), blocks)
    out = clip.encode_frames(videos().double())
    assert out.shape[1] == 1
    torch.testing.assert_close(out[:, 0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("family", VITS)
def test_joint_attention_knows_time_by_its_embedding_alone(family):
    clip = tunable(family).join_frames(T)
    forward, backward = (clip.encode_frames(v) for v in (videos().double(), videos().double().flip(1)))
    assert forward.shape == (M, 1, clip.embed_dim)
    torch.testing.assert_close(forward, backward, rtol=0, atol=1e-10)
    forward.square().sum().backward()
    assert clip.time_embedding.grad.abs().max() > 0
    with torch.no_grad():
        clip.time_embedding[0] += torch.randn(clip.time_embedding.shape[1])  # a constant would be lost in the norm
    change = clip.encode_frames(videos().double()) - clip.encode_frames(videos().double().flip(1))
    assert change.abs().max() > 1e-6


@pytest.mark.parametrize("family", ["vit", "timm-vit"])
def test_gradients_of_shifted_blocks_survive_recomputation(family):
    grads = []
    for enable in (False, True):
        clip = tunable(family).shift_tokens(4).unfreeze("visual")
        clip.set_grad_checkpointing(enable)
        clip.encode_frames(videos().double()).square().sum().backward()
        grads.append([p.grad.clone() for p in clip.model.visual.parameters() if p.grad is not None])
    assert len(grads[0]) == len(grads[1]) > 10
    assert all((a - b).abs().max() <= 1e-9 * max(1, a.abs().max()) for a, b in zip(*grads))


def test_the_time_embedding_is_saved_copied_and_hashed():
    clip = TunableCLIP(small_model("vit"))
    bare = clip.weights_hash
    clip.join_frames(T)
    assert "time_embedding" in clip.state_dict() and clip.weights_hash != bare
    twin = copy.deepcopy(clip)
    with torch.no_grad():
        twin.time_embedding[0] += 1.0
    assert not torch.equal(twin.encode_frames(videos()), clip.encode_frames(videos()))


def test_refusals(tmp_path):
    for call in (lambda c: c.shift_tokens(), lambda c: c.join_frames(4)):
        with pytest.raises(ValueError, match="no vision transformer"):
            call(TunableCLIP(small_model("resnet")))
    with pytest.raises(ValueError, match="rotary positions"):
        TunableCLIP(small_model("eva")).join_frames(4)
    with pytest.raises(ValueError, match="divisor=1"):
        tunable().shift_tokens(1)
    with pytest.raises(ValueError, match="videos of 3 frames, and the time embedding has 2"):
        tunable().join_frames(2).encode_frames(videos().double())
    with pytest.raises(ValueError, match="embeddings only, no maps"):
        tunable().join_frames(2).features(videos()[0].double())
    clip = TunableCLIP(small_model("vit"), model_cfg={"embed_dim": 24}).inflate_patches()
    with pytest.raises(ValueError, match="no place for time"):
        save_open_clip_folder(clip, tmp_path)
