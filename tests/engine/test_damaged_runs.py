"""Training that diverges, checkpoints that disks damage, two runs in one folder, and weights under wrappers' names."""

import multiprocessing
import os
import shutil
from types import SimpleNamespace

import pytest
import torch

from clipkit.engine.build import build_runner
from clipkit.engine.checkpoint import DamagedCheckpoint, load_checkpoint
from clipkit.engine.hooks import FiniteLossHook
from clipkit.engine.weights import broken_weights, load_weights, unwrap_names
from clipkit.errors import ClipkitError
from clipkit.work_dir_lock import lock, unlock
from support import tiny_parts


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the config and a run of 6 steps, a checkpoint every 3."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.py").write_text(tiny_parts.CONFIG)
    build_runner(folder / "tiny.py", work_dir=folder / "w", cfg_options={"train_cfg.max_iters": 6}).train()
    return folder


@pytest.fixture
def run(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def go_on(run, **options):
    """Resumes for one more step; the text of the log."""
    options = {"train_cfg.max_iters": 7, **options}
    build_runner(run / "tiny.py", work_dir=run / "w", resume=True, cfg_options=options).train()
    return max((run / "w").glob("*/*.log"), key=os.path.getmtime).read_text()


# -- divergence -----------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_the_good_checkpoint(run):
    before = {file.name: file.read_bytes() for file in (run / "w").glob("*.pth")}
    said = r"step 7: loss is nan: the training has diverged; the last good checkpoint is .*iter_6\.pth; lower the"
    with pytest.raises(ClipkitError, match=said):
        go_on(run, **{"train_dataloader.dataset.noise": float("nan"), "train_cfg.max_iters": 20})
    assert {file.name: file.read_bytes() for file in (run / "w").glob("*.pth")} == before


def test_weights_that_are_not_finite_are_not_saved(run):
    runner = build_runner(run / "tiny.py", work_dir=run / "w")
    with torch.no_grad():
        runner.bare_model.layer.weight[0, 0] = torch.inf
    assert runner.train_loop.iter == 0
    runner.call_hook("before_run")
    with pytest.raises(ClipkitError, match=r"layer\.weight hold numbers that are not finite: .* x\.pth is not written"):
        runner.save_checkpoint(str(run / "w"), "x.pth", save_optimizer=False, save_param_scheduler=False)
    assert not (run / "w" / "x.pth").exists()


def test_weights_that_are_not_finite_are_not_loaded():
    model = torch.nn.Linear(2, 1)
    model.register_buffer("mask", torch.tensor([0.0, -torch.inf]))  # as attention masks are
    state = {name: value.clone() for name, value in model.state_dict().items()}
    load_weights(model, state, "a.pth", strict=True)
    for name, value in (("bias", torch.nan), ("weight", -torch.inf), ("mask", torch.nan)):
        broken = {**state, name: torch.full_like(state[name], value)}
        assert broken_weights(broken, model) == [name]
        with pytest.raises(DamagedCheckpoint, match=rf"a\.pth: 1 of its weights are not finite \({name}\)"):
            load_weights(model, broken, "a.pth", strict=False)


def test_a_step_that_loss_scaling_leaves_out_is_none_to_stop_at():
    def step(hook, value, scales):
        buffer = SimpleNamespace(current=lambda: value)
        scaler = SimpleNamespace(is_enabled=lambda: scales)
        hook.after_train_iter(
            SimpleNamespace(
                message_hub=SimpleNamespace(log_scalars={"train/loss": buffer, "train/acc": buffer}),
                optim_wrapper=SimpleNamespace(loss_scaler=scaler),
                iter=4,
                way_back=lambda: "go back",
            ),
            4,
            outputs={"loss": None, "acc": None},
        )

    hook = FiniteLossHook()
    for _ in range(3):
        for _ in range(49):
            step(hook, float("inf"), True)
        step(hook, 1.0, True)
    with pytest.raises(ClipkitError, match="step 5: loss is inf: the training has diverged; go back"):
        for _ in range(50):
            step(hook, float("inf"), True)
    with pytest.raises(ClipkitError, match="step 5: loss is nan"):
        step(FiniteLossHook(), float("nan"), False)


# -- damage ---------------------------------------------------------------------------------------------------------


def change(**parts):
    def damage(path):
        torch.save({**torch.load(path, weights_only=True), **parts}, path)

    return damage


def lose(part):
    def damage(path):
        checkpoint = torch.load(path, weights_only=True)
        del checkpoint[part]
        torch.save(checkpoint, path)

    return damage


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    weight = torch.load(path, weights_only=True)["state_dict"]["layer.weight"].numpy().tobytes()
    data[data.index(weight)] ^= 1
    path.write_bytes(data)


def become_a_folder(path):
    path.unlink()
    path.mkdir()


def change_optimizer(**state):
    """`state` of the first weight, or options of the first group."""

    def damage(path):
        checkpoint = torch.load(path, weights_only=True)
        optimizer = checkpoint["optimizer"]
        for key, value in state.items():
            owner = optimizer["state"][0] if key in optimizer["state"][0] else optimizer["param_groups"][0]
            owner[key] = value
        torch.save(checkpoint, path)

    return damage


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-2000]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "flipped": flip_a_bit,
    "folder": become_a_folder,
    "no iteration": change(meta={}),
    "meta of another type": change(meta=[1]),
    "weights of another type": change(state_dict={"layer.weight": "x", "layer.bias": 1}),
    "not finite": change(state_dict={"layer.weight": torch.full((1, 6), torch.nan), "layer.bias": torch.zeros(1)}),
    "optimizer of another type": change(optimizer={"state": 3, "param_groups": [5]}),
    "moments of another shape": change_optimizer(exp_avg=torch.zeros(1, 18)),
    "moments of another type": change_optimizer(exp_avg=[0.0]),
    "an option of another type": change_optimizer(betas=None),
    "curves of two lengths": change(
        message_hub={"log_scalars": {"loss": {"values": torch.zeros(2), "counts": torch.zeros(1)}}}
    ),
    "no weights": lose("state_dict"),
    "no optimizer": lose("optimizer"),
    "a weight lost": change(state_dict={"layer.bias": torch.zeros(1)}),
    "a tensor alone": lambda path: torch.save(torch.zeros(3), path),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_resuming_goes_back_to_the_checkpoint_before_a_damaged_one(run, damage):
    damage(run / "w" / "iter_6.pth")
    log = go_on(run, **{"train_cfg.max_iters": 4})
    assert "iter_6.pth" in log and "; going back to the one before it" in log
    assert "resumed at iteration 3" in log


def test_a_checkpoint_without_checksums_is_still_read(tmp_path):
    content = {"state_dict": {"w": torch.arange(5.0)}}
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(content, tmp_path / "without.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    for name in ("old.pth", "without.pth"):
        assert torch.equal(load_checkpoint(tmp_path / name)["state_dict"]["w"], torch.arange(5.0))


def test_a_damaged_pointer_is_left_alone(run):
    (run / "w" / "last_checkpoint").write_bytes(b"\0x" * 3000)
    assert "resumed at iteration 6" in go_on(run)


# -- one run a folder -----------------------------------------------------------------------------------------------


def hold(folder, pipe):
    lock(folder)
    pipe.send("held")
    pipe.recv()


def test_a_second_run_in_a_folder_is_refused_by_name_and_a_dead_one_holds_nothing(tmp_path):
    mine, theirs = multiprocessing.Pipe()
    other = multiprocessing.get_context("fork").Process(target=hold, args=(tmp_path, theirs))
    other.start()
    assert mine.recv() == "held"
    with pytest.raises(ClipkitError, match=rf"another training writes there \(process {other.pid} on .* since "):
        lock(tmp_path)
    other.kill()
    other.join()
    assert str(other.pid) in (tmp_path / "training.lock").read_text()  # what it left behind
    lock(tmp_path)
    lock(tmp_path)  # the same process may go on where it has begun
    unlock(tmp_path)
    assert (tmp_path / "training.lock").read_text() == ""


def test_training_holds_its_folder_until_it_ends_and_testing_needs_none(run):
    mine, theirs = multiprocessing.Pipe()
    other = multiprocessing.get_context("fork").Process(target=hold, args=(run / "w", theirs))
    other.start()
    mine.recv()
    try:
        with pytest.raises(ClipkitError, match="another training writes there"):
            go_on(run)
        build_runner(
            run / "tiny.py", work_dir=run / "w", checkpoint=run / "w" / "iter_6.pth", for_training=False
        ).test()
    finally:
        mine.send("end")
        other.join()
    go_on(run)
    assert (run / "w" / "training.lock").read_text() == ""


# -- names ----------------------------------------------------------------------------------------------------------


class Host(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Sequential(torch.nn.Linear(2, 2))
        self.head = torch.nn.Linear(2, 1)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model."])
def test_names_of_wrappers_are_taken_off(prefix):
    model = Host()
    state = model.state_dict()
    assert unwrap_names({prefix + name: value for name, value in state.items()}, model).keys() == state.keys()


def test_names_within_a_model_and_those_it_has_itself():
    host, model = Host(), torch.nn.Module()
    inner = {name.replace("backbone.", "backbone._orig_mod."): value for name, value in host.state_dict().items()}
    assert unwrap_names(inner, host).keys() == host.state_dict().keys()
    inner = {name.replace("backbone.", "backbone.module."): value for name, value in host.state_dict().items()}
    assert unwrap_names(inner, host).keys() == host.state_dict().keys()
    model.model = host
    names = set(model.state_dict())
    assert set(unwrap_names(dict.fromkeys(names), model)) == names
    assert set(unwrap_names(dict.fromkeys(f"module.{name}" for name in names), model)) == names
    host.backbone._modules["_orig_mod"] = host.backbone._modules.pop("0")  # the model's own part is compiled
    assert set(unwrap_names({"backbone.weight": 1, "head.bias": 2}, host)) == {"backbone._orig_mod.weight", "head.bias"}
    both = unwrap_names({"head.bias": 1, "module.head.bias": 2}, host)
    assert both == {"head.bias": 1, "module.head.bias": 2}  # nothing is dropped: loading names the one without a place
