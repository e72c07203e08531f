"""Where the tests of this folder run.

`pytest -m gpu` runs them on `cuda` and skips them, with the reason, on a machine without. The same bodies run anywhere
with `CLIPKIT_GPU_TESTS_DEVICE=cpu pytest tests/gpu`: that checks their logic, not the GPU. (With that on a machine that
has a GPU, hide it as well, `CUDA_VISIBLE_DEVICES=`: the Runner takes a GPU where it sees one.)
"""

import os

import open_clip
import pytest
import torch

from clipkit.backbone import FrozenCLIP

DEVICE = os.environ.get("CLIPKIT_GPU_TESTS_DEVICE", "cuda")
ON_GPU = DEVICE.startswith("cuda")
WHY = "no CUDA device (CLIPKIT_GPU_TESTS_DEVICE=cpu runs the same test on the CPU)"

gpu = [pytest.mark.gpu, pytest.mark.skipif(ON_GPU and not torch.cuda.is_available(), reason=WHY)]
cuda_only = pytest.mark.skipif(not ON_GPU, reason="has a meaning on CUDA only")
fp16_training = pytest.param("fp16", marks=pytest.mark.skipif(not ON_GPU, reason="fp16 training needs CUDA"))

COMPILER = "inductor" if ON_GPU else "aot_eager"  # on a CPU the graph is captured, without minutes of C++ compiling

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
TOWERS = {
    "vit": {"image_size": 64, "patch_size": 16, "width": 64, "layers": 3, "head_width": 16},
    "resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 16},
}
NAMES = ["tiny-shapes", *TOWERS]


def frozen(name, device=DEVICE, **options):
    """A small FrozenCLIP with the same weights wherever and in whatever precision it is built, random matrices that
    keep the scale of what passes them: with small ones all images would look alike, and nothing could go wrong."""
    if name in TOWERS:
        full = f"clipkit-gpu-test-{name}"
        open_clip.factory._MODEL_CONFIGS[full] = {"embed_dim": 32, "vision_cfg": TOWERS[name], "text_cfg": TEXT}
        name = full
    torch.manual_seed(0)
    clip = FrozenCLIP.from_pretrained(name, **options)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, parameter in sorted(clip.model.named_parameters()):
            if parameter.ndim > 1:
                scale = 0.3 if "embed" in key else parameter[0].numel() ** -0.5
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return clip.to(device)


@pytest.fixture
def exact(monkeypatch):
    """float32 without TF32, which CUDA's convolutions use by default and which holds 10 bits."""
    if ON_GPU:
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
        monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
