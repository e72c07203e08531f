"""`clipkit claim`: one line a result, nothing twice, failures named."""

import json
from pathlib import Path

import pytest

from clipkit import cli
from clipkit.claims import run_all
from clipkit.claims.definition import read_claim
from clipkit.claims.one_run import execute
from clipkit.errors import ClipkitError
from support import tiny_parts

CLAIM = """
claim = "CX"
arms = {
    "square": dict(function="claim_functions.square", kwargs=dict(base=3)),
    "both": dict(function="claim_functions.two_arms", arms=("one", "two")),
}
"""
FUNCTIONS = """
from pathlib import Path

def square(seed, work_dir, base):
    with open(Path(work_dir) / "calls", "a") as stream:
        stream.write("x")
    return {"accuracy": base ** 2 + seed}

def two_arms(seed, work_dir):
    return {"one": 1.0, "two": 2.0}

def broken(seed, work_dir):
    raise RuntimeError("the reason")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "cx.py").write_text(CLAIM)
    (tmp_path / "claim_functions.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def _in_this_process(path, name, seed, folder, slot, jobs):
    work_dir = folder / f"{name}-{seed}"
    work_dir.mkdir(parents=True, exist_ok=True)
    return execute(name, read_claim(path)[1]["arms"][name], seed, work_dir)


def test_results_are_lines_and_are_not_run_twice(folder, monkeypatch):
    monkeypatch.setattr(run_all, "_run", _in_this_process)
    results = folder / "r.jsonl"
    arguments = ["cx.py", "--jobs", "2", "--results", str(results), "--seeds"]
    assert cli.run("claim", [*arguments, "0-1"]) == 0
    records = [json.loads(line) for line in results.read_text().splitlines()]
    assert {(r["arm"], r["seed"]) for r in records} == {(a, s) for a in ("square", "one", "two") for s in (0, 1)}
    assert {r["metric"]["accuracy"] for r in records if r["arm"] == "square"} == {9, 10}
    assert all({"claim", "commit", "hardware", "date"} <= set(r) for r in records)

    # a kill in the middle of a line: that run, and no other, is done again
    results.write_text(results.read_text() + '{"claim": "CX", "arm": "squ')
    assert cli.run("claim", [*arguments, "0-2", "--arms", "square"]) == 0
    seeds = [r["seed"] for r in map(json.loads, _whole_lines(results)) if r["arm"] == "square"]
    assert sorted(seeds) == [0, 1, 2]


def _whole_lines(path):
    return [line for line in path.read_text().splitlines() if line.endswith("}")]


def test_a_failed_run_does_not_stop_the_others(folder, capsys, monkeypatch):
    def flaky(path, name, seed, *rest):
        if name == "square":
            raise ClipkitError("exit code 1: the reason")
        return _in_this_process(path, name, seed, *rest)

    monkeypatch.setattr(run_all, "_run", flaky)
    assert cli.run("claim", ["cx.py", "--seeds", "0", "--results", "r.jsonl"]) == 1
    assert "CX square seed 0: exit code 1: the reason" in capsys.readouterr().err
    assert run_all.finished(Path("r.jsonl"), "CX") == {("one", 0), ("two", 0)}


def test_a_run_in_its_own_process(folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(folder))
    values = run_all._run(folder / "cx.py", "square", 4, folder / "w", 0, 1)
    assert values == {"square": {"accuracy": 13}}
    assert (folder / "w" / "square-4" / "calls").read_text() == "x"


def test_mistakes_are_named(folder, capsys):
    assert cli.run("claim", ["c99"]) == 2
    assert "no config claims/c99.py" in capsys.readouterr().err
    with pytest.raises(ClipkitError, match="write 0-4"):
        run_all.parse_seeds("a-b")
    with pytest.raises(ClipkitError, match='no arm "three"'):
        run_all.select_arms(read_claim("cx.py")[1]["arms"], "three")
    with pytest.raises(ClipkitError, match=r"no function claim_functions\.cube"):
        execute("x", {"function": "claim_functions.cube"}, 0, folder)
    (folder / "bad.py").write_text('claim = "CY"\narms = {"a": dict(configg="x")}')
    with pytest.raises(ClipkitError, match='arm "a" needs either'):
        read_claim("bad.py")


def test_seeds():
    assert run_all.parse_seeds("0-2,7") == [0, 1, 2, 7]
    assert run_all.parse_seeds("0,0-1,1") == [0, 1]  # not the same run twice in one folder
    with pytest.raises(ClipkitError, match='"4-0" names none'):
        run_all.parse_seeds("4-0")


def test_a_training_as_an_arm(folder, monkeypatch):
    (folder / "tiny.py").write_text(tiny_parts.CONFIG)
    run = {"config": str(folder / "tiny.py"), "cfg_options": {"train_cfg.max_iters": 2}, "metric": "error"}
    values = execute("arm", run, 3, folder / "w")
    assert 0 < values["arm"] < 10
    with pytest.raises(ClipkitError, match='no metric "eror"; did you mean "error"'):
        execute("arm", {**run, "metric": "eror"}, 3, folder / "w")


def test_one_training_serves_several_tests(folder, monkeypatch):
    (folder / "tiny.py").write_text(tiny_parts.CONFIG)
    run = {"config": str(folder / "tiny.py"), "cfg_options": {"train_cfg.max_iters": 2}, "metric": "error"}
    still = {"test_dataloader.dataset.noise": 0.0}
    run["cfg_options"].update(still)
    tests = {"same": {}, "longer": {"test_dataloader.dataset.length": 50}}
    values = execute("arm", {**run, "tests": tests}, 3, folder / "w")["arm"]
    assert values["same"] == execute("arm", run, 3, folder / "x")["arm"] != values["longer"]


def test_a_training_free_arm(folder):
    small = {"test_dataloader.dataset.length": 4, "custom_hooks": []}
    run = {"config": "dense_clip/dense_tiny_shapes.py", "train": False, "cfg_options": small}
    values = execute("arm", {**run, "tests": {"open": {}}}, 0, folder / "w")["arm"]["open"]
    assert values == execute("arm", run, 1, folder / "x")["arm"] and values["mIoU"] > 0


def test_a_claim_may_be_read_off_another_s_runs(folder):
    (folder / "cy.py").write_text('claim = "CY"\nruns_of = "CX"\narms = ("square",)\n')
    path, definition = read_claim(folder / "cy.py")
    assert path == folder / "cx.py" and definition["claim"] == "CX" and list(definition["arms"]) == ["square"]
    (folder / "cy.py").write_text('claim = "CY"\nruns_of = "CX"\narms = ("cube",)\n')
    with pytest.raises(ClipkitError, match='CX has no arm "cube"'):
        read_claim(folder / "cy.py")
    (folder / "cx.py").write_text('claim = "CX"\narms = {"run": dict(function="m.f", arms=("cube", "ball"))}\n')
    assert list(read_claim(folder / "cy.py")[1]["arms"]) == ["run"]  # which measures it
