"""Pictures at addresses: what a server answers is bounded, and only http(s) is followed."""

import http.server
import threading
from contextlib import contextmanager

import pytest

from clipkit.data.fetch import address_stem, fetch, is_address
from clipkit.errors import ClipkitError


@contextmanager
def server(pages):
    """Serves `pages`: path -> bytes, or an address to redirect to."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            page = pages.get(self.path)
            self.send_response(404 if page is None else 302 if isinstance(page, str) else 200)
            if isinstance(page, str):
                self.send_header("Location", page)
            if self.path.startswith("/film"):
                self.send_header("Content-Type", "video/mp4")
            self.end_headers()
            if isinstance(page, bytes):
                self.wfile.write(page)

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()


def test_bytes_come_back_also_after_a_redirect():
    with server({"/a": b"pixels", "/b": "/a"}) as address:
        assert fetch(f"{address}/a") == b"pixels" == fetch(f"{address}/b")


def test_too_large_a_file_is_refused():
    with server({"/a": b"x" * 100}) as address:
        assert len(fetch(f"{address}/a", max_bytes=100)) == 100
        with pytest.raises(ClipkitError, match="larger than"):
            fetch(f"{address}/a", max_bytes=99)


def test_circles_and_other_protocols_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("mine")
    with server({"/circle": "/circle", "/file": secret.as_uri(), "/ftp": "ftp://127.0.0.1/x"}) as address:
        for page in ("circle", "file", "ftp", "nothing"):
            with pytest.raises(ClipkitError, match="cannot be fetched"):
                fetch(f"{address}/{page}")


def test_a_film_is_refused_before_it_is_fetched():
    with server({"/film": b"frames", "/old": "/film", "/a.jpg": b"pixels"}) as address:
        for page in ("film", "old", "film.MP4?w=2", "a.gif"):  # the last two are not asked for
            with pytest.raises(ClipkitError, match="is a film, and only photos are fetched; download it first"):
                fetch(f"{address}/{page}")
        assert fetch(f"{address}/a.jpg") == b"pixels"


def test_names_of_addresses():
    assert is_address("https://a/b.jpg") and not is_address("a/b.jpg") and not is_address("file:///etc/passwd")
    assert address_stem("https://a.org/x/cat%20one.jpg?w=2#top") == "cat one"
    assert address_stem("https://a.org/") == "picture" and "/" not in address_stem("https://a.org/..%2Fx.png")
