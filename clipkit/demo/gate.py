"""What the server answers at all. gradio also serves uploads, files, addresses, recordings and more; the page needs few
of these, and only they are let through."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ALLOWED = {
    "GET": re.compile(
        r"/(config|theme\.css|robots\.txt|favicon\.ico|(static|assets)/[\w./@-]+)?"
        r"|/gradio_api/(theme\.css|info|startup-events|queue/data|heartbeat/\w+)"
    ),
    "POST": re.compile(r"/gradio_api/(queue/join|cancel|reset)/?"),
}
_ALLOWED["HEAD"] = _ALLOWED["GET"]
# gradio's own scripts build functions from text.
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data:; manifest-src 'self'; "
    "base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
]


class Gate:
    """An ASGI application before another one.

    Args:
        app: what is behind it.
        most: bytes of a request.
        hosts: names that a request may call this machine, without port; None for any. A page elsewhere whose name leads
            to this machine calls it by that name.
    """

    def __init__(self, app: Any, most: int, hosts: frozenset[str] | None) -> None:
        self.app, self.most, self.hosts = app, most, hosts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI's."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is None and scope["method"] == "POST":
            body = await _body(receive, self.most)
            refused = (413, "too large") if body is None else None
            receive = _once(body or b"", receive)
        if refused is not None:
            await _say(send, *refused)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = {name for name, _ in _HEADERS}
                message["headers"] = [pair for pair in message["headers"] if pair[0].lower() not in named] + _HEADERS
            await send(message)

        await self.app(scope, receive, guarded)

    def _refused(self, scope: Message) -> tuple[int, str] | None:
        if scope["type"] != "http":
            return 403, "not served"
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        allowed = _ALLOWED.get(scope["method"])
        if allowed is None or not allowed.fullmatch(scope["path"]) or ".." in scope["path"]:
            return 404, "not served"
        if self.hosts is not None and (urlsplit(f"//{host}").hostname or "") not in self.hosts:
            return 403, "this machine is not called so"
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin.decode("latin-1")).netloc != host:
            return 403, "asked by another site"
        return None


async def _body(receive: Receive, most: int) -> bytes | None:
    """The whole body; None where it is larger than it may be."""
    parts: list[bytes] = []
    more, size = True, 0
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += len(message.get("body", b""))
        if size > most:
            return None
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _once(body: bytes, receive: Receive) -> Receive:
    """Gives the body, then what comes after it."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return left.pop() if left else await receive()

    return give


async def _say(send: Send, status: int, line: str) -> None:
    head = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": line.encode() + b"\n"})
