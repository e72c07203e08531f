"""Private names of mmengine, mmseg and mmdet that clipkit touches: each is still there and means what it meant."""

import inspect
import logging
import pkgutil
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.model import ImgDataPreprocessor
from mmengine.optim import OptimWrapper
from mmengine.optim.optimizer import DefaultOptimWrapperConstructor
from mmengine.registry.registry import Registry
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import nn

from clipkit.engine import traps
from clipkit.engine.register import quiet_imports


@pytest.mark.parametrize("name", sorted(traps.OVERRIDDEN))
def test_private_methods_that_subclasses_replace_are_there(name):
    with quiet_imports():
        method = pkgutil.resolve_name(name)
    found = tuple(inspect.signature(method).parameters)
    assert found[: len(traps.OVERRIDDEN[name])] == traps.OVERRIDDEN[name]


@pytest.mark.parametrize("name", sorted(traps.OVERRIDDEN))
def test_private_methods_that_subclasses_replace_are_called(name):
    """A method that nobody calls any longer would be replaced in vain."""
    owner, _, method = name.rpartition(".")
    with quiet_imports():
        source = inspect.getsource(sys.modules[pkgutil.resolve_name(owner).__module__])
    assert f"self.{method}(" in source


def test_mmseg_configs_are_found_under_the_packages_name(tmp_path):
    traps.find_mmseg_configs()
    config = tmp_path / "mine.py"
    config.write_text('_base_ = "mmseg::_base_/schedules/schedule_20k.py"\n')
    assert Config.fromfile(str(config)).train_cfg.max_iters == 20000


def test_lists_without_quotes():
    assert traps.parse_list("[a, (b, 1), 2.5, True]") == ["a", ("b", 1), 2.5, True]
    with pytest.raises(AssertionError):
        traps.parse_list("[a, (b]")


def frames_of(call):
    with pytest.raises(Exception) as caught:
        call()
    frames, trace = [], caught.tb
    while trace:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return frames


class Refuses:
    def __init__(self):
        raise ValueError("no")


def test_frames_of_a_failed_look_up_and_of_a_failed_build():
    registry = Registry("thing", scope="clipkit_test")
    registry.register_module(module=Refuses)
    last = frames_of(lambda: registry.get(""))[-1]  # elsewhere `get` gives None, and `build_from_cfg` raises
    assert traps.failed_look_up(last) == (registry, "") and traps.failed_build(last) is None
    for kind, found in (("Refuses", Refuses), ("Refusse", None)):
        frames = frames_of(lambda kind=kind: registry.build({"type": kind}))
        assert [row for row in map(traps.failed_build, frames) if row] == [(registry, kind, found)]


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.layer.bias.requires_grad = False


def a_runner(tmp_path, **options):
    return Runner(model=Tiny(), work_dir=str(tmp_path), experiment_name="traps", **options)


TRAINING = dict(
    train_cfg=dict(type="IterBasedTrainLoop", max_iters=1),
    train_dataloader=dict(batch_size=1, dataset=[0, 1], sampler=dict(type="DefaultSampler", shuffle=False)),
    optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1), accumulative_counts=1),
)


def test_the_runners_start(tmp_path):
    runner = a_runner(tmp_path, load_from="a.pth", resume=True)
    assert traps.start_of(runner) == ("a.pth", True)
    assert not traps.is_for_training(runner)
    assert traps.is_for_training(a_runner(tmp_path / "b", **TRAINING))
    assert not traps.has_loaded(runner)
    traps.set_loaded(runner)
    assert traps.has_loaded(runner)
    runner.load_or_resume()  # has nothing left to do: there is no such file
    traps.rename_timestamp(runner, "now+")
    assert runner.timestamp == "now+"


def test_where_a_training_loop_goes_on(tmp_path):
    runner = a_runner(tmp_path, **TRAINING)
    traps.go_to(runner.train_loop, 3, 70)
    assert isinstance(runner.train_loop, IterBasedTrainLoop)
    assert (runner.epoch, runner.iter) == (3, 70)


def test_optimizer_wrapper():
    weight = nn.Parameter(torch.zeros(2))
    wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1.0), accumulative_counts=3, clip_grad=dict(max_norm=1.0))
    assert traps.accumulated_steps(wrapper) == 3
    assert traps.accumulated_steps(object()) == 1  # a wrapper of several has none
    weight.grad = torch.tensor([3.0, 4.0])
    traps.clip_gradients(wrapper)
    torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8]), atol=1e-5, rtol=0)
    counts = []
    for _ in range(3):  # a backward pass is counted by mmengine's own `backward`, which AmpOptimWrapper calls
        OptimWrapper.backward(wrapper, weight.sum())
        counts.append(wrapper.should_update())
    assert counts == [False, False, True]


def test_pretrained_weights_are_read_by_the_reader_that_is_given(tmp_path, monkeypatch):
    file = tmp_path / "weights.pth"
    torch.save({"state_dict": {}}, file)
    monkeypatch.setattr(mmengine_checkpoint, "_safe_torch_load", mmengine_checkpoint._safe_torch_load)  # put back after
    seen = []
    traps.read_pretrained_by(lambda source, map_location=None, weights_only=None: seen.append(source) or {"mine": 1})
    assert mmengine_checkpoint._load_checkpoint(str(file), map_location="cpu") == {"mine": 1}
    assert seen == [str(file)]


def test_weights_by_address_are_read_by_the_reader_that_is_given(monkeypatch):
    monkeypatch.setattr(mmengine_checkpoint, "load_url", mmengine_checkpoint.load_url)  # put back after
    traps.read_addresses_by(lambda url, **_: {"from": url})
    assert mmengine_checkpoint._load_checkpoint("http://localhost:1/a.pth") == {"from": "http://localhost:1/a.pth"}


def kinds_of_preprocessor():
    with quiet_imports():
        from mmdet.models import DetDataPreprocessor
        from mmseg.models import SegDataPreProcessor
    return ImgDataPreprocessor, SegDataPreProcessor, DetDataPreprocessor


@pytest.mark.parametrize("kind", kinds_of_preprocessor(), ids=lambda kind: kind.__name__)
def test_preprocessors(kind):
    padding = {} if kind is not kinds_of_preprocessor()[1] else {"size": (4, 4)}
    plain, full = kind(**padding), kind(mean=[1.0] * 3, std=[2.0] * 3, bgr_to_rgb=True, **padding)
    images = [torch.stack([torch.full((4, 4), float(value)) for value in (3, 5, 9)])]
    for module, colours in ((plain, [3, 5, 9]), (full, [4, 2, 1])):
        assert traps.normalises(module) == traps.swaps_channels(module) == (module is full)
        out = module({"inputs": list(images)})["inputs"]
        assert torch.as_tensor(out)[0, :, 0, 0].tolist() == colours
    assert not traps.normalises(nn.Identity()) and not traps.swaps_channels(nn.Identity())


class Listed(BaseDataset):
    def load_data_list(self):
        traps.update_metainfo(self, {"classes": ("a", "b")})
        return [{"x": 1}]


def test_what_a_data_set_says_of_itself():
    assert Listed(metainfo={"by": "me"}).metainfo == {"by": "me", "classes": ("a", "b")}


def test_words_of_records_that_the_console_leaves_out(caplog, monkeypatch):
    said = []
    module = sys.modules[DefaultOptimWrapperConstructor.__module__]
    monkeypatch.setattr(module, "print_log", lambda message, level=None, **_: said.append((message, level)))
    config = dict(optimizer=dict(type="SGD", lr=1.0))
    DefaultOptimWrapperConstructor(config, dict(custom_keys={"layer": dict(lr_mult=0.5)}))(Tiny())
    skipped = [level for message, level in said if message.endswith(traps.FROZEN_PARAMETER)]
    assert skipped == [logging.WARNING]
    assert any(message.startswith(traps.PARAMETER_OPTION) for message, _ in said)
