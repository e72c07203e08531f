"""A plugin brings its own task: `clipkit predict` opens its predictor and writes its files."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from clipkit import cli
from clipkit.engine.tasks import TASKS, register_task
from clipkit.errors import ClipkitError
from clipkit.predict.predictor import Predictor, is_instance_of, open_predictor
from clipkit.predict.segmenter import Segmenter

PLUGIN = """
import torch
from mmengine.model import BaseModel
from clipkit.engine.registry import MODELS
from clipkit.engine.tasks import register_task

register_task("brightness", "brightness_task:Meter", "brightness_task:MeterFiles")

@MODELS.register_module()
class BrightnessModel(BaseModel):
    label_names = ("light",)
    def __init__(self, gain=1.0):
        super().__init__()
        self.register_buffer("gain", torch.tensor(gain))
    def forward(self, inputs, data_samples=None, mode="tensor"):
        return self.gain * inputs.float().mean()
"""
TASK = """
import json
from clipkit.predict.predictor import Predictor, as_rgb
from brightness_plugin import BrightnessModel
import torch

class Meter(Predictor):
    @classmethod
    def handles(cls, model):
        return isinstance(model, BrightnessModel)
    @property
    def device(self):
        return torch.device("cpu")
    def __call__(self, image):
        return float(self.model(torch.from_numpy(as_rgb(image).copy())))

class MeterFiles:
    picture = "light.json"
    reserved = frozenset({"all"})
    def __init__(self, predictor, labels, out, min_score):
        self.predictor, self.out, self.said = predictor, out, {}
    def write(self, file, stem):
        self.said[stem] = self.predictor(file)
        (self.out / f"{stem}_light.json").write_text(json.dumps(self.said[stem]))
        return f"{self.said[stem]:.0f}"
    def finish(self):
        (self.out / "all.json").write_text(json.dumps(self.said))
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A stranger's package with a task, under the entry-point group of plugins; and a config that names it."""
    (tmp_path / "brightness_plugin.py").write_text(PLUGIN)
    (tmp_path / "brightness_task.py").write_text(TASK)
    dist = tmp_path / "brightness_plugin-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: brightness-plugin\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[clipkit.plugins]\nbrightness = brightness_plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(TASKS, "brightness", None)  # undone last, whatever a test sets
    del TASKS["brightness"]
    config = tmp_path / "meter.py"
    config.write_text("plugins = ['brightness']\nmodel = dict(type='BrightnessModel', gain=2.0)\n")
    yield config
    from clipkit.engine.registry import MODELS

    MODELS.module_dict.pop("BrightnessModel", None)
    for name in ("brightness_plugin", "brightness_task"):
        sys.modules.pop(name, None)


def test_a_plugin_predicts_its_own_task_by_the_command(plugin, tmp_path, capsys):
    for value, name in ((10, "a.png"), (60, "all.png")):
        Image.fromarray(np.full((4, 5, 3), value, np.uint8)).save(tmp_path / name)
    out = tmp_path / "out"
    code = cli.run(
        "predict", [str(plugin), "none", str(tmp_path / "a.png"), str(tmp_path / "all.png"), "--out", str(out)]
    )
    said = capsys.readouterr()
    assert code == 0, said.err
    assert json.loads((out / "a_light.json").read_text()) == 20.0
    assert json.loads((out / "all.json").read_text()) == {"a": 20.0, "all-2": 120.0}  # `all` is the writer's own
    assert "a_light.json  20" in said.out and "2 of 2 images, 1 labels" in said.out


def test_what_only_training_needs_of_a_task_is_its_name(plugin):
    from clipkit.engine.build import prepare_config

    prepare_config(plugin)
    assert "brightness" in TASKS and "brightness_task" not in sys.modules


def test_a_plugins_task_goes_before_those_of_clipkit(plugin, monkeypatch):
    monkeypatch.setattr(Segmenter, "handles", classmethod(lambda cls, model: True))
    predictor, writer = open_predictor(str(plugin), None, "cpu")
    assert type(predictor).__name__ == "Meter" and writer.__name__ == "MeterFiles"
    assert isinstance(predictor, Predictor)


def test_a_model_of_no_task_is_one_line_that_names_the_tasks(plugin, monkeypatch):
    prepared = plugin.with_name("other.py")
    prepared.write_text(plugin.read_text())
    open_predictor(str(prepared), None, "cpu")
    monkeypatch.delitem(TASKS, "brightness")
    with pytest.raises(ClipkitError, match=r"BrightnessModel neither segments.*segment, detect, find videos"):
        open_predictor(str(prepared), None, "cpu")


def test_a_task_without_files_is_one_line(plugin, tmp_path, monkeypatch, capsys):
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(tmp_path / "a.png")
    open_predictor(str(plugin), None, "cpu")
    monkeypatch.setitem(TASKS, "brightness", TASKS["brightness"]._replace(writer=None))
    assert cli.run("predict", [str(plugin), "none", str(tmp_path / "a.png"), "--out", str(tmp_path / "o")]) == 2
    assert "Meter writes no files" in capsys.readouterr().err


def test_a_name_is_one_task(monkeypatch):
    row = ("detect", TASKS["detect"].predictor, TASKS["detect"].writer)
    register_task(*row)  # the same again, as when a module is imported twice
    with pytest.raises(ClipkitError, match='"detect" is registered twice'):
        register_task("detect", "somewhere:Else", None)
    assert TASKS["detect"] == row


def test_a_predictor_in_the_table_must_say_what_it_handles():
    with pytest.raises(NotImplementedError, match="Predictor does not say"):
        Predictor.handles(torch.nn.Identity())


def test_nothing_is_an_instance_of_a_class_that_was_never_imported():
    assert not is_instance_of(torch.nn.Identity(), "no_such.package", "Model")
    assert is_instance_of(torch.nn.Identity(), "torch.nn", "Identity")
    assert not is_instance_of(torch.nn.Identity(), "torch.nn", "Linear")
