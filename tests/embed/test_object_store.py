"""From and to an object store: moto's server, through s3fs, as a user would name it, `s3://bucket/…`."""

import pytest

from clipkit import cli
from clipkit.data import addresses
from support.archives import tree, write_archives

pytestmark = pytest.mark.slow
pytest.importorskip("moto.server", reason="needs the extra test-slow")
pytest.importorskip("s3fs", reason="needs the extra test-slow")
pytest.importorskip("pyarrow")


@pytest.fixture
def bucket(monkeypatch):
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="photos")
    yield "s3://photos"
    server.stop()


def embed(source, out, layout="clip-retrieval"):
    options = ["--clip", "tiny_clip", "--precision", "fp32", "--layout", layout]
    return cli.run("embed", [str(source), "--out", str(out), *options])


def test_in_and_out_of_a_bucket(bucket, tmp_path, monkeypatch, capsys):
    write_archives(tmp_path / "in", 3)
    for file in (tmp_path / "in").iterdir():
        addresses.write(f"{bucket}/in/{file.name}", file.read_bytes())
    assert embed(tmp_path / "in", tmp_path / "out") == 0
    write, calls = addresses.write, []

    def stopped(address, data):
        calls.append(address)
        if len(calls) == 4:
            raise KeyboardInterrupt
        write(address, data)

    monkeypatch.setattr(addresses, "write", stopped)
    assert embed(f"{bucket}/in", f"{bucket}/out") == 130
    monkeypatch.setattr(addresses, "write", write)
    assert embed(f"{bucket}/in/*.tar", f"{bucket}/out") == 0
    for name, data in tree(tmp_path / "out").items():
        if name != "plan.json":  # which names the sources
            with addresses.reading(f"{bucket}/out/{name}") as file:
                assert file.read() == data, name
    assert len(addresses.find(f"{bucket}/out")) == len(tree(tmp_path / "out"))
    assert embed(f"{bucket}/in", tmp_path / "store", "store") == 0
    capsys.readouterr()
    assert embed(f"{bucket}/nothing", tmp_path / "x") == 2
    assert capsys.readouterr().err == "error: s3://photos/nothing: no such file or folder\n"
    assert embed("s3://no-such-bucket/in", tmp_path / "x") == 2
    assert capsys.readouterr().err.count("\n") == 1
