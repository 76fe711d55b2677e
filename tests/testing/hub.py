"""A server that speaks as much of the Hugging Face Hub's API as a download needs, and can misbehave."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Fault = Callable[["Handler"], bool]


def status(code: int, **headers: str) -> Fault:
    """Answer with this code instead."""

    def answer(handler: Handler) -> bool:
        handler.reply(code, b"{}", {name.replace("_", "-"): value for name, value in headers.items()})
        return True

    return answer


def cut_after(count: int) -> Fault:
    """Send so many bytes of the file, then close the connection."""

    def answer(handler: Handler) -> bool:
        handler.cut = count
        return False

    return answer


def stall_after(count: int, go: threading.Event) -> Fault:
    """Send so many bytes of the file, and the rest never."""

    def answer(handler: Handler) -> bool:
        handler.cut, handler.stall = count, go
        return False

    return answer


def damaged(handler: Handler) -> bool:
    """Send as many bytes as announced, one of them wrong."""
    handler.damage = True
    return False


class Hub:
    """The repository ``org/tiny``, a model and a dataset alike; ``faults``: what comes first for "METHOD name"."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.faults: dict[str, list[Fault]] = {}
        self.requests: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.url = ""

    def etag(self, name: str) -> str:
        content = self.files[name]
        if self.is_large(name):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def is_large(self, name: str) -> bool:
        return name.endswith(".safetensors")

    def tree(self) -> list[dict[str, object]]:
        entries: list[dict[str, object]] = []
        for name, content in self.files.items():
            entry: dict[str, object] = {"type": "file", "path": name, "size": len(content), "oid": self.etag(name)}
            if self.is_large(name):
                entry["lfs"] = {"oid": self.etag(name), "size": len(content), "pointerSize": 130}
            entries.append(entry)
        return entries


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def setup(self) -> None:
        super().setup()
        self.cut: int | None = None
        self.damage = False
        self.stall: threading.Event | None = None

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def reply(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        self.cut, self.damage, self.stall = None, False, None
        path = self.path.partition("?")[0].strip("/")
        parts = path.removeprefix("datasets/").split("/")
        is_api = parts[0] == "api"
        is_about_it = is_api and parts[2:4] == ["org", "tiny"]  # the library asks about other things, too
        name = "tree" if is_about_it and "tree" in parts else "info" if is_about_it else "/".join(parts[4:])
        with self.hub.lock:
            self.hub.requests[f"{self.command} {name}"] += 1
            faults = self.hub.faults.get(f"{self.command} {name}")
            fault = faults.pop(0) if faults else None
        if fault is not None and fault(self):
            return
        if "org" not in parts or "tiny" not in parts:
            self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif name == "tree":
            self.reply(200, json.dumps(self.hub.tree()).encode(), {"Content-Type": "application/json"})
        elif name == "info":
            said = {"id": "org/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in self.hub.files]}
            self.reply(200, json.dumps(said).encode(), {"Content-Type": "application/json"})
        elif name in self.hub.files:
            self._file(name)
        else:
            self.reply(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def _file(self, name: str) -> None:
        content = self.hub.files[name]
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        body = content[start:]
        if self.damage:
            body = body[:-1] + bytes([body[-1] ^ 1])
        headers = {
            "ETag": f'"{self.hub.etag(name)}"',
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": str(len(content)),
            "X-Linked-Etag": f'"{self.hub.etag(name)}"',
            "Accept-Ranges": "bytes",
            "Content-Length": str(len(body)),
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.reply(206 if start else 200, body if self.cut is None else body[: self.cut], headers)
        if self.cut is not None:
            self.wfile.flush()
            if self.stall is not None:
                self.stall.wait(300)
            self.close_connection = True


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[Hub]:
    hub = Hub(files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnHandler", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
