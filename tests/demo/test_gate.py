"""What the server answers at all, asked without a browser and without gradio."""

import asyncio

import pytest

from clipkit.demo.gate import Gate

LOCAL = frozenset(["127.0.0.1", "localhost"])


async def behind(scope, receive, send):
    """The application behind the gate: says what it was sent."""
    body = (await receive())["body"] if scope["method"] == "POST" else b""
    head = [(b"Content-Security-Policy", b"mine"), (b"x", b"y")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": b"behind " + body})


def ask(path, method="GET", body=(), hosts=LOCAL, **headers):
    """(status, headers, body)."""
    sent = []
    parts = [{"type": "http.request", "body": part, "more_body": True} for part in body]
    parts.append({"type": "http.request", "body": b"", "more_body": False})
    headers = {"host": "127.0.0.1:7860", **headers}
    scope = {"type": "http", "method": method, "path": path}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def receive():
        return parts.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(Gate(behind, 10, hosts)(scope, receive, send))
    return sent[0]["status"], sent[0]["headers"], sent[1]["body"]


@pytest.mark.parametrize("path", ["/", "/config", "/theme.css", "/assets/index-a1.js", "/gradio_api/queue/data"])
def test_what_the_page_needs_is_served(path):
    status, headers, body = ask(path)
    assert status == 200 and body == b"behind "
    policies = [value for name, value in headers if name.lower() == b"content-security-policy"]
    assert len(policies) == 1 and b"default-src 'none'" in policies[0] and (b"x", b"y") in headers


@pytest.mark.parametrize(
    "path",
    [
        *("/gradio_api/file=/etc/hostname", "/gradio_api/file=http://x/y", "/file=/etc/hostname", "/gradio_api/upload"),
        *("/gradio_api/proxy=http://x", "/monitoring", "/gradio_api/run/predict", "/gradio_api/call/segment", "/docs"),
        *("/assets/../routes.py", "/static/../../x", "/gradio_api/vibe-code", "/gradio_api/deep_link", "/login"),
    ],
)
def test_the_rest_is_not(path):
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        status, _, body = ask(path, method)
        assert status == 404 and body == b"not served\n"


def test_a_body_is_passed_on_up_to_a_size():
    assert ask("/gradio_api/queue/join", "POST", [b"12345", b"67890"])[2] == b"behind 1234567890"
    assert ask("/gradio_api/queue/join", "POST", [b"12345", b"678901"])[0] == 413


def test_other_sites_and_other_names_are_refused():
    assert ask("/", host="rebound.example:7860")[0] == 403
    assert ask("/", host="rebound.example:7860", hosts=None)[0] == 200
    assert ask("/", host="localhost:7860")[0] == 200
    assert ask("/gradio_api/queue/join", "POST", origin="http://elsewhere.example")[0] == 403
    assert ask("/gradio_api/queue/join", "POST", origin="null")[0] == 403
    assert ask("/gradio_api/queue/join", "POST", origin="http://127.0.0.1:7860")[0] == 200
