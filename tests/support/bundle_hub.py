"""A stand-in for the Hugging Face hub that also takes uploads: repositories, commits, branches, LFS, in memory.

Large files go by LFS: the client must have `HF_HUB_DISABLE_XET`, whose protocol is not spoken here."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class Repositories:
    """Attributes:
    commits: repository -> commit -> {file: content}; branches: repository -> branch -> commit.
    cards: what was to be checked as a model card. asked: (method, path) of every request.
    cut: a file's name -> bytes after which its download breaks, once;
    down: names that are refused; a file whose download broke is one of them where `stays_down`.
    """

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.cards: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.cut: dict[str, int] = {}
        self.down: set[str] = set()
        self.stays_down = False
        self.address = ""

    def commit(self, repository: str, branch: str, files: dict[str, bytes]) -> str:
        """Adds files to a branch."""
        branches = self.branches.setdefault(repository, {})
        whole = {**self.commits.setdefault(repository, {}).get(branches.get(branch, ""), {}), **files}
        name = hashlib.sha1(repr(sorted(whole.items())).encode()).hexdigest()
        self.commits[repository][name] = whole
        branches[branch] = name
        return name

    def files(self, repository: str, revision: str = "main") -> dict[str, bytes]:
        """Of a branch or commit."""
        return self.commits[repository][self.branches[repository].get(revision, revision)]

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, content."""
        self.asked.append((method, path))
        parts = unquote(urlsplit(path).path).strip("/").split("/")
        match method, parts:
            case "POST", ["api", "validate-yaml"]:
                self.cards.append(json.loads(body)["content"])
                return _json({"errors": [], "warnings": []})
            case "POST", ["api", "repos", "create"]:
                asked = json.loads(body)
                name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
                self.commits.setdefault(name, {})
                self.branches.setdefault(name, {}) or self.commit(name, "main", {})
                return _json({"url": f"{self.address}/{name}", "name": name})
            case "POST", ["api", "models", owner, name, "branch", branch]:
                self.branches[f"{owner}/{name}"][branch] = self.branches[f"{owner}/{name}"]["main"]
                return _json({})
            case "GET", ["api", "models", owner, name, *_]:
                return _json({"id": f"{owner}/{name}", "sha": self.branches[f"{owner}/{name}"]["main"], "siblings": []})
            case "POST", ["api", "models", _, _, "preupload", _]:
                files = [one["path"] for one in json.loads(body)["files"]]
                modes = {file: "lfs" if file.endswith(".safetensors") else "regular" for file in files}
                return _json(
                    {"files": [{"path": f, "uploadMode": mode, "shouldIgnore": False} for f, mode in modes.items()]}
                )
            case "POST", [_, _, "info", "lfs", "objects", "batch"]:
                objects = [
                    {**one, "actions": {"upload": {"href": f"{self.address}/blobs/{one['oid']}", "header": {}}}}
                    for one in json.loads(body)["objects"]
                ]
                return _json({"transfer": "basic", "objects": objects})
            case "PUT", ["blobs", oid]:
                self.blobs[oid] = body
                return _json({})
            case "POST", ["api", "models", owner, name, "commit", branch]:
                files = {}
                for line in map(json.loads, body.splitlines()):
                    value = line["value"]
                    if line["key"] == "file":
                        files[value["path"]] = base64.b64decode(value["content"])
                    elif line["key"] == "lfsFile":
                        files[value["path"]] = self.blobs[value["oid"]]
                done = self.commit(f"{owner}/{name}", branch, files)
                address = f"{self.address}/{owner}/{name}/commit/{done}"
                return _json({"success": True, "commitOid": done, "commitUrl": address, "hookOutput": ""})
            case "GET" | "HEAD", [owner, name, "resolve", revision, *file]:
                return self._file(f"{owner}/{name}", revision, "/".join(file))
        return 404, {"X-Error-Code": "RepoNotFound"}, b""

    def _file(self, repository: str, revision: str, file: str) -> tuple[int, dict[str, str], bytes]:
        if file in self.down:
            return 403, {}, b""
        commit = self.branches.get(repository, {}).get(revision, revision)
        held = self.commits.get(repository, {}).get(commit)
        if held is None or file not in held:
            return 404, {"X-Error-Code": "EntryNotFound" if held is not None else "RevisionNotFound"}, b""
        return 200, {"ETag": f'"{hashlib.sha256(held[file]).hexdigest()}"', "X-Repo-Commit": commit}, held[file]


def _json(value: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


@contextmanager
def serve_repositories() -> Iterator[Repositories]:
    """`with serve_repositories() as hub:` `hub.address` is what `HF_ENDPOINT` is set to."""
    hub = Repositories()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, content = hub.answer(self.command, self.path, body)
            start = 0
            if status == 200 and (wanted := self.headers.get("Range", "")).startswith("bytes=") and content:
                start = int(wanted.removeprefix("bytes=").split("-")[0] or 0)
                status = 206
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if self.command != "HEAD":
                name = self.path.rpartition("/")[2]
                end = hub.cut.pop(name, len(content))
                self.wfile.write(content[start:end])
                if end < len(content):
                    self.close_connection = True
                    hub.down |= {name} if hub.stays_down else set()

        do_GET = do_HEAD = do_POST = do_PUT = handle_any

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
