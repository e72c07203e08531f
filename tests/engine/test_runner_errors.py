"""What a person can get wrong in a config ends in one line that says what is known."""

import pytest
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from clipkit import cli
from clipkit.engine.build import build_runner, prepare_config
from clipkit.engine.config import find_config, load_config, parse_options
from clipkit.errors import ClipkitError, one_line
from support import tiny_parts


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text(tiny_parts.CONFIG)
    return path


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("train_cfg.max_iter=3", '"train_cfg" has no "max_iter"; did you mean "max_iters"'),
        ("train_dataloader.batchsize=3", 'did you mean "batch_size"'),
        ("optim_wrapper.optimizer.lrr=2", 'did you mean "lr"'),
        ("param_scheduler.3.power=2", '"param_scheduler" is a list of 1'),
        ("foo.bar=1", 'the config has no "foo"'),
        ("model.dim2=3", 'did you mean "dim"'),
        ("model.dim.x=3", '"model.dim" is 6'),
        ("default_hooks.chekpoint=None", 'did you mean "checkpoint"'),
        ("plugins=['lsge']", 'unknown plugin "lsge"; did you mean "lseg"'),
        ("model.type=TinyLiner", 'no model "TinyLiner"; did you mean "TinyLinear"'),
        ("model.type=clipkit.TinyLiner", 'did you mean "clipkit.TinyLinear"'),
        ("model.type=mmsegg.X", 'there is no scope "mmsegg"'),
        ("model.dim=six", "TinyLinear: "),
        ("custom_hooks=[{'type': 'EMAHook', 'momentums': 1}]", 'no argument "momentums"'),
        ("default_hooks.checkpoint={'type': 'CheckpointHook', 'intervall': 3}", 'did you mean "interval"'),
        ("no_equals_sign", "write key=value"),
    ],
)
def test_one_line_that_says_what_is_known(config, tmp_path, option, said, capsys):
    code = cli.run("train", [str(config), "--work-dir", str(tmp_path / "w"), "--cfg-options", option])
    error = capsys.readouterr().err.strip()
    assert code == 2
    assert said in error
    assert "\n" not in error.split("error: ")[-1]


def test_debug_keeps_the_traceback(config, monkeypatch):
    monkeypatch.setenv("CLIPKIT_DEBUG", "1")
    with pytest.raises(ClipkitError):
        cli.run("train", [str(config), "--cfg-options", "foo=1"])


def test_unknown_config_file_command_and_checkpoint(config, tmp_path, capsys):
    assert cli.run("train", ["no/such.py"]) == 2
    assert "no config no/such.py" in capsys.readouterr().err
    assert cli.main(["trian"]) == 2
    assert 'did you mean "train"' in capsys.readouterr().err
    assert cli.run("test", [str(config), str(tmp_path / "x.pth"), "--work-dir", str(tmp_path / "w")]) == 2
    assert "no such checkpoint file or folder" in capsys.readouterr().err


def test_broken_config_names_the_file(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("model = dict(type=\n")
    with pytest.raises(ClipkitError, match=r"broken\.py: the config cannot be read"):
        build_runner(path)


def test_hooks_of_the_config_may_be_left_out(config):
    kinds = [hook["type"] for hook in prepare_config(config, cfg_options={"custom_hooks": None}).custom_hooks]
    assert kinds == ["clipkit.ReseedHook", "clipkit.ClampHook", "clipkit.FiniteLossHook"]


def test_no_batch_is_said_before_training(config, tmp_path):
    loader = {"batch_size": 8, "drop_last": True, "sampler": {"type": "DefaultSampler", "shuffle": True}}
    options = {f"train_dataloader.{key}": value for key, value in {**loader, "dataset.length": 4}.items()}
    runner = build_runner(config, work_dir=tmp_path / "w", cfg_options=options)
    with pytest.raises(ClipkitError, match="less than a batch of 8, and drop_last leaves those out: lower batch_size"):
        runner.train()


def test_options_that_are_read_are_taken(config):
    options = {
        "train_cfg.max_iters": 3,
        "train_dataloader.num_workers": 2,  # read by the data loader though the config has it not
        "optim_wrapper.clip_grad.max_norm": 1.0,  # a new argument may have anything below it
        "randomness.deterministic": True,
        "param_scheduler.0.power": 0.5,
        "model.dropout": 0.0,
    }
    cfg = prepare_config(config, cfg_options=options)
    assert cfg.train_cfg.max_iters == 3
    assert cfg.optim_wrapper.clip_grad.max_norm == 1.0
    assert cfg.param_scheduler[0].power == 0.5


def test_values_of_options():
    parsed = parse_options(["a=1", "b.c=red circle, blue square", "d=[1, 2]", "e=true", "f=None", "g=[x,y]", "h=p=q"])
    assert parsed == {
        "a": 1,
        "b.c": "red circle, blue square",
        "d": [1, 2],
        "e": True,
        "f": None,
        "g": ["x", "y"],
        "h": "p=q",
    }


def test_config_by_path_comes_first(config, monkeypatch):
    monkeypatch.chdir(config.parent)
    assert find_config("tiny.py").resolve() == config.resolve()


def test_amp_on_a_cpu_is_bf16_or_one_line(config, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("speaks of machines without a GPU")
    with pytest.raises(ClipkitError, match="--amp fp16 needs a CUDA device"):
        build_runner(config, amp="fp16", work_dir=tmp_path).train()
    build_runner(config, amp=True, work_dir=tmp_path / "b", cfg_options={"train_cfg.max_iters": 2}).train()


def test_mixed_precision_of_a_config_is_switched_off_by_one_option(config, tmp_path):
    on = 'optim_wrapper = dict(type="AmpOptimWrapper", dtype="bf16", '
    config.write_text(config.read_text().replace("optim_wrapper = dict(", on))
    off = {"train_cfg.max_iters": 2, "optim_wrapper.type": "OptimWrapper"}
    runner = build_runner(config, work_dir=tmp_path, cfg_options=off)
    runner.train()
    assert type(runner.optim_wrapper).__name__ == "OptimWrapper" and on in config.read_text()


def test_the_users_config_is_never_overwritten(config):
    build_runner(config, work_dir=config.parent, cfg_options={"model.dropout": 0.5})
    assert config.read_text() == tiny_parts.CONFIG


def test_a_tuple_is_given_as_a_whole(config):
    config.write_text(tiny_parts.CONFIG.replace("lr=0.05", "lr=0.05, betas=(0.9, 0.98)"))
    key = "optim_wrapper.optimizer.betas"
    with pytest.raises(ClipkitError, match=rf'"{key}" is a tuple; give the whole: {key}="\(0.9, 0.98\)"'):
        prepare_config(config, cfg_options={f"{key}.0": 0.5})
    options = parse_options([f"{key}=(0.5, 0.98)"])
    assert prepare_config(config, cfg_options=options).optim_wrapper.optimizer.betas == (0.5, 0.98)


def test_a_config_object_is_left_as_it_was(config):
    config.write_text(tiny_parts.CONFIG.replace("dim=6", "dim='{width}'") + "\nvariables = dict(width=6)\n")
    loaded = load_config(config)
    before = loaded.pretty_text
    widths = [prepare_config(loaded, cfg_options={"variables.width": n}).model.dim for n in (3, 4)]
    assert widths == [3, 4] and loaded.pretty_text == before


def test_a_place_or_a_device_that_cannot_be_used(config, tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "iter_1.pth").touch()
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png")
    weights, picture = str(tmp_path / "iter_1.pth"), str(tmp_path / "x.png")
    for command, options, said in (
        ("predict", [picture, "--out", str(tmp_path / "file")], "File exists"),
        ("predict", [picture, "--out", str(tmp_path / "o"), "--device", "gpu"], "device gpu: cannot be used here"),
        ("test", ["--out", str(tmp_path)], "is a folder; name a JSON file"),
        ("test", ["--out", str(tmp_path / "file" / "x.json")], "file"),
    ):
        assert cli.run(command, [str(config), weights, *options]) == 2
        error = capsys.readouterr().err.strip()
        assert said in error and "\n" not in error.split("error: ")[-1]


def test_unknown_vis_and_launcher(config, tmp_path):
    with pytest.raises(ClipkitError, match='did you mean "wandb"'):
        build_runner(config, vis="wandbb", work_dir=tmp_path)
    with pytest.raises(ClipkitError, match='unknown launcher "torch"'):
        build_runner(config, launcher="torch", work_dir=tmp_path)


class Unreadable(Dataset):
    """One sample, which cannot be read."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise ClipkitError("a.mkv: cannot be read. Repair it")


def test_an_error_in_a_loaders_worker_is_what_it_says():
    with pytest.raises(ClipkitError, match="Traceback") as raised:  # torch puts one into the message
        list(DataLoader(Unreadable(), batch_size=None, num_workers=1))
    assert one_line(raised.value) == "a.mkv: cannot be read. Repair it"
