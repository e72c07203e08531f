"""Bytes at an http(s) address, with limits: what a user types is followed, what a server answers is not trusted."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from clipkit.errors import ClipkitError

from .video import VIDEO_SUFFIXES

MAX_BYTES = 64 * 2**20
MAX_REDIRECTS = 3
TIMEOUT = 20.0  # seconds without an answer


def is_address(text: object) -> bool:
    """Whether this is an http(s) address and no path."""
    return isinstance(text, str) and text.lower().startswith(("http://", "https://"))


def address_stem(address: str) -> str:
    """The file name at the end of an address without its ending, for naming results: `…/cat.jpg?w=2` -> `cat`."""
    name = PurePosixPath(unquote(urlsplit(address).path)).name
    return "".join(c for c in PurePosixPath(name).stem if c.isalnum() or c in "-_ ")[:80].strip() or "picture"


def fetch(address: str, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of the photo at an address.

    Raises:
        ClipkitError: no such place, another protocol after a redirect, more than `MAX_REDIRECTS` of them, or more than
            `max_bytes`; or a film, which is larger than what is fetched unasked.
    """
    opener = urllib.request.OpenerDirector()  # http(s) alone: the ready-made opener would follow file: and ftp: as well
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _FewRedirects(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(address, headers={"User-Agent": "clipkit", "Accept": "image/*,*/*;q=0.5"})
    try:
        if PurePosixPath(unquote(urlsplit(address).path)).suffix.lower() in VIDEO_SUFFIXES:
            raise _is_film(address)
        with opener.open(request, timeout=TIMEOUT) as answer:
            if answer.headers.get_content_maintype() == "video":
                raise _is_film(address)
            content = answer.read(max_bytes + 1)
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ClipkitError(f"{address}: cannot be fetched ({reason}); save it as a file and give that") from None
    if len(content) > max_bytes:
        raise ClipkitError(f"{address}: larger than {max_bytes // 2**20} MiB; save it as a file and give that")
    return content


def _is_film(address: str) -> ClipkitError:
    return ClipkitError(f"{address}: is a film, and only photos are fetched; download it first and give the file")


class _FewRedirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS
