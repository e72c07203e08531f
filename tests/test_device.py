"""The rule for devices and precisions, on machines that this one is not."""

import pytest
import torch

from clipkit.device import autocast_dtype, has_fast_bf16, own_device, usable_device
from clipkit.engine import amp
from clipkit.errors import ClipkitError

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda:1"), torch.device("mps")


@pytest.fixture
def machine(monkeypatch):
    def set_up(gpus=0, capability=(8, 0), mps=False, amx=False, avx=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)

    return set_up


def test_a_process_takes_its_own_gpu_else_the_mac_s_else_the_cpu(machine, monkeypatch):
    machine(gpus=2, mps=True)
    assert own_device() == "cuda:0"
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert own_device() == "cuda:1"
    machine(mps=True)
    assert own_device() == "mps"
    machine()
    assert own_device() == "cpu" and usable_device("auto") == CPU


@pytest.mark.parametrize("name", ["cuda:77", "nowhere"])
def test_a_device_that_is_not_there_is_one_line(name):
    with pytest.raises(ClipkitError, match=rf"device {name}: cannot be used here \(.+\); give cpu") as caught:
        usable_device(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("device", "made", "features", "training"),
    [
        (CUDA, dict(gpus=2, capability=(9, 0)), torch.bfloat16, torch.bfloat16),
        (CUDA, dict(gpus=2, capability=(8, 0)), torch.bfloat16, torch.bfloat16),
        (CUDA, dict(gpus=2, capability=(7, 5)), None, torch.float16),  # torch emulates bf16 there
        (CPU, dict(amx=True), torch.bfloat16, torch.bfloat16),
        (CPU, dict(avx=True), torch.bfloat16, torch.bfloat16),
        (CPU, dict(), None, None),
        (MPS, dict(mps=True, amx=True), None, None),
    ],
)
def test_auto_is_bf16_where_the_device_computes_it_fast(machine, device, made, features, training):
    machine(**made)
    assert has_fast_bf16(device) == (features is torch.bfloat16)
    assert autocast_dtype("auto", device) is features and amp.resolve_dtype(None, device) is training
    assert amp.resolve_dtype("bf16", device) is torch.bfloat16  # what is said stays


def test_what_is_said_is_taken_or_refused():
    assert autocast_dtype("fp32", CUDA) is None and autocast_dtype("fp16", CUDA) is torch.float16
    assert autocast_dtype("bf16", CPU) is torch.bfloat16
    with pytest.raises(ValueError, match="needs a GPU"):
        autocast_dtype("fp16", CPU)
    with pytest.raises(ValueError, match="'half' is unknown; known: auto, fp32, bf16, fp16"):
        autocast_dtype("half", CPU)
    for device in (CPU, MPS):
        with pytest.raises(ClipkitError, match="--amp fp16 needs a CUDA device"):
            amp.resolve_dtype("fp16", device)


def test_amp_trains_in_fp32_where_bf16_is_slow(monkeypatch):
    monkeypatch.setattr(amp, "own_device", lambda: "cpu")
    for probe in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, probe, lambda: False)
    model = torch.nn.Linear(2, 2)
    wrapper = amp.AmpOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    with wrapper.optim_context(model):
        out = model(torch.ones(1, 2))
    assert wrapper.dtype is None and out.dtype is torch.float32
    before = model.weight.clone()
    wrapper.update_params(out.sum())
    assert not torch.equal(model.weight, before) and wrapper.state_dict()["loss_scaler"] == {}
