"""A run whose test prints its secret in its name, its failure and its output: nothing that is sent has it."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support import serving

SECRET = "hf_aB3/dE+9=zQw7Ky"
FORMS = (
    SECRET,
    SECRET[::-1],
    base64.b64encode(SECRET.encode()).decode(),
    SECRET.encode().hex(),
    urllib.parse.quote(SECRET, safe=""),
)
TEST = """
import base64, os, urllib.parse

import pytest

TOKEN = os.environ["TOKEN"]


@pytest.mark.parametrize("token", [TOKEN])
def test_loads(token, record_property):
    forms = [token, token[::-1], base64.b64encode(token.encode()).decode(), token.encode().hex()]
    print(*forms, urllib.parse.quote(token, safe=""))
    record_property("token", token)
    raise ValueError(f"401 for {token} at https://user:{token}@hub.example/x")
"""


class Everywhere(ThreadingHTTPServer):
    """GitHub's interface and a collector of OTLP's, which keep what they are sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sent: dict[str, bytes] = {}


class _Handler(BaseHTTPRequestHandler):
    server: Everywhere

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        pull = {"number": 7, "head": {"label": "stranger:fix", "sha": "abc"}}
        self._answer([pull] if "/pulls" in self.path else [])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        unpacked = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
        self.server.sent[self.path] = unpacked
        self._answer({})

    def _answer(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def everywhere() -> Iterator[Everywhere]:
    with serving(Everywhere()) as server:
        yield server


def test_no_surface_has_it(everywhere: Everywhere, repository: Any, tmp_path: Path) -> None:
    repository.write("trainci.toml", "[suites.s]\nnum_gpus = 0\nsecrets = ['TOKEN']\ntests = ['tests/test_a.py']\n")
    repository.write("tests/test_a.py", TEST)
    address = f"http://127.0.0.1:{everywhere.server_port}"
    environment = {
        "TOKEN": SECRET,
        "TRAINCI_LOCK_DIR": str(tmp_path / "locks"),
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": address,
    }
    ran = repository.trainci("run", "s", "--devices", "cpu:1", "--junit", "j.xml", environment=environment)
    assert ran.code == 1 and "::error" in ran.out, ran.out
    artifact = tmp_path / "kept/s-0-attempt-1"
    artifact.mkdir(parents=True)
    (run,) = repository.root.glob(".trainci/runs/*/events.jsonl")
    shutil.copy(run, artifact)
    event = {
        "conclusion": "failure",
        "head_sha": "abc",
        "head_branch": "fix",
        "head_repository": {"owner": {"login": "stranger"}},
    }
    (tmp_path / "event.json").write_text(json.dumps({"workflow_run": event}))
    comment = repository.trainci(
        *("summary", str(tmp_path / "kept"), "--comment", "--suite", "s"),
        environment={
            "GITHUB_API_URL": address,
            "GITHUB_TOKEN": "x",
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_REPOSITORY": "lab/train",
        },
    )
    assert comment.code == 0, comment.err
    others = {
        "stdout and annotations": ran.out,
        "stderr": ran.err,
        "summary": (tmp_path / "summary.md").read_text(),
        "junit": (repository.root / "j.xml").read_text(),
        "its output": comment.out,
    }
    for command in (("history", "tests/test_a.py"), ("report", "--format", "ctrf", "-o", "x.ctrf"), ("explain",)):
        said = repository.trainci(*command)
        others[command[0]] = said.out + said.err
    own = {"test_a.py", ".pytest_cache"}  # of the test and of pytest, which nobody masks (docs/security.md)
    files = [path for path in repository.root.rglob("*") if path.is_file() and not own & set(path.parts)]
    written = {str(path): path.read_bytes() for path in files}
    surfaces = {**{name: text.encode() for name, text in others.items()}, **everywhere.sent, **written}
    assert {"/v1/traces", "/v1/metrics", "/repos/lab/train/issues/7/comments"} <= surfaces.keys(), surfaces.keys()
    assert b"401 for" in surfaces["/v1/traces"] and b"401 for" in surfaces["/repos/lab/train/issues/7/comments"]
    shown = {(name, form) for name, text in surfaces.items() for form in FORMS if form.encode() in text}
    assert not shown
