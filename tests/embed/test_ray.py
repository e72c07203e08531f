"""Two local Ray nodes, of which one is killed in the middle: the store is that of one process, byte for byte."""

import threading
import time

import pytest
import torch

from clipkit import cli
from clipkit.embed.ray_crew import RayCrew
from support.archives import tree, write_archives

pytestmark = pytest.mark.slow
pytest.importorskip("ray", reason="needs the extra ray")
PARTS = 24


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    return write_archives(tmp_path_factory.mktemp("ray") / "archives", PARTS)


@pytest.fixture
def cluster(monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the workers too, so that sums are in one order
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 on a busy machine means never
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 << 20})
    found.victim = found.add_node(num_cpus=1, object_store_memory=100 << 20)
    yield found
    found.shutdown()


@pytest.fixture
def crews(monkeypatch):
    """Those that are hired, each with all of its workers at hand, and how many it ever hired."""
    found = []
    hire = RayCrew._hire

    def hiring(crew):
        crew.hired = getattr(crew, "hired", 0) + 1
        hire(crew)

    def enter(crew):
        while crew._coming:
            crew._greet(crew._ray.wait(list(crew._coming))[0][0])
        found.append(crew)
        return crew

    monkeypatch.setattr(RayCrew, "_hire", hiring)
    monkeypatch.setattr(RayCrew, "__enter__", enter)
    return found


@pytest.mark.parametrize("layout", ["store", "clip-retrieval"])
def test_a_node_that_dies_costs_its_shard_alone(layout, archives, cluster, crews, tmp_path):
    def embed(out, *more):
        options = ["--clip", "tiny_clip", "--precision", "fp32", "--device", "cpu", "--layout", layout, *more]
        return cli.run("embed", [str(archives), "--out", str(out), *options])

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert embed(tmp_path / "alone") == 0
    torch.set_num_threads(threads)
    out, killed_at = tmp_path / "ray", []
    pattern = "shard-*.safetensors" if layout == "store" else "metadata_*.parquet"

    def kill():
        while len(done := list(out.rglob(pattern))) < 4:
            time.sleep(0.002)
        killed_at.append(len(done))
        cluster.remove_node(cluster.victim, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    assert embed(out, "--ray", cluster.address) == 0
    killer.join()
    assert killed_at[0] < PARTS and crews[0].hired == 3  # it hit one of two workers while there was work
    assert tree(out) == tree(tmp_path / "alone")


def test_what_a_worker_says_is_one_line(archives, cluster, tmp_path, capsys):
    (tmp_path / "clip").mkdir()
    command = ["embed", str(archives), "--out", str(tmp_path / "out"), "--ray", cluster.address]
    assert cli.run(command[0], [*command[1:], "--clip", f"local-dir:{tmp_path / 'clip'}"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and "open_clip_config.json" in line


def test_where_no_cluster_answers_it_is_one_line(archives, tmp_path, capsys):
    options = ["--clip", "tiny_clip", "--ray", "127.0.0.1:1"]
    assert cli.run("embed", [str(archives), "--out", str(tmp_path / "out"), *options]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: --ray 127.0.0.1:1: no cluster answers there")
