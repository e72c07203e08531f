"""The command line of `clipkit demo`: what it refuses before anything is loaded, and that it starts and ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from functools import partial
from importlib.util import find_spec

import pytest

from clipkit.cli import main

WITH_GRADIO = pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra demo")


@pytest.mark.parametrize(
    "wrong", [["--max-words", "0"], ["--max-mb", "-1"], ["--max-seconds", "nan"], ["--port", "70000"]]
)
def test_wrong_numbers_are_told(wrong, capsys):
    with pytest.raises(SystemExit) as end:
        main(["demo", *wrong])
    assert end.value.code == 2 and ("positive" in (said := capsys.readouterr().err) or "--port" in said)


def test_a_missing_gradio_is_one_line_with_its_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in ("clipkit.demo.serve", "clipkit.demo.page"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert main(["demo", "--clip", "tiny_clip"]) == 2
    assert (
        capsys.readouterr().err
        == 'error: this command needs gradio, which is not installed: pip install -e ".[demo]"\n'
    )


@WITH_GRADIO
def test_a_taken_port_is_told_before_anything_is_loaded(monkeypatch, capsys):
    monkeypatch.setattr("clipkit.predict.dense.DenseSegmenter.load", lambda *_, **__: pytest.fail("loaded"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["demo", "--clip", "tiny_clip", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"error: 127.0.0.1:{port}: cannot serve there (Address already in use); give another --port or --host\n"
    )
    assert main(["demo", "--host", "no.such.host.invalid"]) == 2
    assert "no.such.host.invalid:7860: cannot serve there" in capsys.readouterr().err


@WITH_GRADIO
@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_it_serves_until_it_is_told_to_end(tmp_path):
    command = [sys.executable, "-m", "clipkit", "demo", "--clip", "tiny_clip", "--port", "0"]
    before = {**os.environ, "TMPDIR": str(tmp_path)}
    heard = partial(
        signal.signal, signal.SIGINT, signal.SIG_DFL
    )  # a shell lets what it starts in the background ignore it
    running = subprocess.Popen(
        command, env=before, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard
    )
    try:
        line = running.stdout.readline()
        address = re.fullmatch(
            r"(http://127\.0\.0\.1:\d+)  \(segment, detect, classify, draw\); Ctrl-C ends it\n", line
        )
        assert address, line
        assert b"clipkit" in urllib.request.urlopen(address[1] + "/", timeout=60).read()
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 128 + signal.SIGINT and running.stderr.read() == "stopped\n"
    finally:
        running.kill()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
