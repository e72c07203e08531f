"""The page on this machine's address: no tunnel, no analytics, no files."""

from __future__ import annotations

import ipaddress
import os
import socket

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # gradio reads it when it is imported

import gradio as gr
import uvicorn
from fastapi import FastAPI

from clipkit.demo.gate import Gate
from clipkit.demo.models import Models
from clipkit.demo.page import build_page
from clipkit.errors import ClipkitError

LOCAL = frozenset(["127.0.0.1", "localhost", "::1"])


def is_local(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def application(models: Models, host: str = "127.0.0.1") -> Gate:
    """The ASGI application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    fonts, mono = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]
    theme = gr.themes.Default(primary_hue="blue", font=fonts, font_mono=mono)
    gr.mount_gradio_app(
        app, build_page(models), path="", footer_links=[], run_history=False, allowed_paths=[], show_error=False,
        max_file_size=1, ssr_mode=False, enable_monitoring=False, pwa=False, mcp_server=False, theme=theme,
        css_paths=[os.path.join(os.path.dirname(__file__), "page.css")],
    )  # fmt: skip
    return Gate(app, models.limits.body, LOCAL | {host} if is_local(host) else None)


def listen(host: str, port: int) -> socket.socket:
    """A socket at the address; port 0 is any that is free.

    Raises:
        ClipkitError: it is taken, or not this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        why = str(getattr(error, "strerror", None) or error).partition(" (")[0]
        raise ClipkitError(f"{host}:{port}: cannot serve there ({why}); give another --port or --host") from None


def server(models: Models, host: str) -> uvicorn.Server:
    """What answers: `server.run(sockets=[listen(host, port)])`, until the process is told to end."""
    return uvicorn.Server(
        uvicorn.Config(
            application(models, host), log_level="warning", access_log=False, timeout_graceful_shutdown=2, ws="none",
            limit_concurrency=256, server_header=False,
        )
    )  # fmt: skip
