"""Downloads from Hugging Face: asked once and briefly whether it answers; where it does not, what lies on this machine
is taken, and one line says what is missing and where to put it."""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from clipkit.errors import one_line


def hub_reachable(seconds: float = 3.0) -> bool:
    """Whether Hugging Face answers. Asked first, because its client repeats each failed request for half a minute."""
    try:
        from huggingface_hub import constants
    except ImportError:
        return False
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        with urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=seconds):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def downloading() -> Iterator[None]:
    """Where Hugging Face does not answer, its client is as under `HF_HUB_OFFLINE=1`, and it never logs its retries."""
    try:
        from huggingface_hub import constants
    except ImportError:
        yield
        return
    logger, offline = logging.getLogger("huggingface_hub"), constants.HF_HUB_OFFLINE
    level = logger.level
    logger.setLevel(logging.ERROR)
    constants.HF_HUB_OFFLINE = offline or not hub_reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        logger.setLevel(level)


def download_failed(what: str, repository: str, error: Exception) -> str:
    """The line for a download that failed.

    Args:
        what: was wanted.
        repository: of Hugging Face, `owner/name`; empty where that is not known.
        error: what the download said.
    """
    try:
        from huggingface_hub import constants

        cache = constants.HF_HUB_CACHE
    except ImportError:
        cache = "~/.cache/huggingface/hub"
    name = repository.strip("/")
    fetch = f"`hf download {name}`" if name else "its download"
    return (
        f"{what} could not be downloaded; without a network give a local file as the weights, or copy what {fetch} "
        f"puts into {cache} elsewhere to here (HF_HUB_OFFLINE=1 never asks the network; {one_line(error, 160)})"
    )
