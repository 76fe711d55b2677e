"""The one comment of a pull request, against a server that answers as GitHub's does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import run_events

from trainci.errors import MachineError, UsageError
from trainci.github.comments import AUTHOR, MARKER, Api, Target, keep_comment, target_of
from trainci.history.event_log import EventLog
from trainci.model.run import Outcome, Verdict
from trainci.paths import RunPaths, StatePaths

REPOSITORY = "lab/train"
TARGET = Target(REPOSITORY, 7)


class GitHub(HTTPServer):
    """Pull requests and comments of one repository, as the REST interface tells them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pulls: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.refuses = 0
        self.tokens: set[str] = set()

    def comment(self, author: str, body: str) -> None:
        self.comments.append({"id": len(self.comments) + 1, "user": {"login": author}, "body": body})

    @property
    def environment(self) -> dict[str, str]:
        return {"GITHUB_API_URL": f"http://127.0.0.1:{self.server_port}", "GITHUB_TOKEN": "s3cret"}


class _Handler(BaseHTTPRequestHandler):
    server: GitHub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = parse_qs(url.query)
        if url.path == f"/repos/{REPOSITORY}/pulls":
            self._answer([p for p in self.server.pulls if p["head"]["label"] == asked["head"][0]])
        elif url.path == f"/repos/{REPOSITORY}/issues/7/comments":
            size, page = int(asked["per_page"][0]), int(asked["page"][0])
            self._answer(self.server.comments[size * (page - 1) : size * page])
        else:
            self._answer({}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == f"/repos/{REPOSITORY}/issues/7/comments"
        self.server.comment(AUTHOR, body["body"])
        self._answer({}, 201)

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.comments[int(self.path.rpartition("/")[2]) - 1]["body"] = body["body"]
        self._answer({})

    def _answer(self, value: Any, status: int = 200) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        data = json.dumps(value).encode()
        self.send_response(self.server.refuses or status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def event(folder: Path, sha: str = "abc", owner: str = "stranger", branch: str = "fix#1&x") -> Path:
    run = {
        "conclusion": "failure",
        "head_sha": sha,
        "head_branch": branch,
        "head_repository": {"owner": {"login": owner}},
    }
    (folder / "event.json").write_text(json.dumps({"workflow_run": run}))
    return folder / "event.json"


def test_the_comment_is_made_once_and_then_kept_current(github: GitHub) -> None:
    for text in ("first", "second"):
        keep_comment(TARGET, text, Api(github.environment))
    assert [comment["body"] for comment in github.comments] == [f"{MARKER}\nsecond"]
    assert github.tokens == {"Bearer s3cret"}


def test_a_marker_in_somebody_elses_comment_and_our_own_other_comments_are_left_alone(github: GitHub) -> None:
    for number in range(150):
        github.comment("somebody", f"{MARKER} forged {number}")
    github.comment(AUTHOR, "another job's comment")
    github.comment(AUTHOR, f"quoted: {MARKER}")
    before = [dict(comment) for comment in github.comments]
    for text in ("first", "second"):
        keep_comment(TARGET, text, Api(github.environment))
    assert github.comments[:-1] == before
    assert github.comments[-1]["body"] == f"{MARKER}\nsecond"


def test_a_forks_pull_request_is_found_by_what_github_says_of_its_run(github: GitHub, tmp_path: Path) -> None:
    head = {"label": "stranger:fix#1&x", "sha": "abc"}
    github.pulls = [{"number": 7, "head": head}, {"number": 8, "head": {**head, "label": "lab:fix#1&x"}}]
    assert target_of(event(tmp_path), REPOSITORY, Api(github.environment)) == replace(TARGET, ended="failure")
    assert target_of(event(tmp_path, sha="older"), REPOSITORY, Api(github.environment)) is None


@pytest.mark.parametrize("text", ["", "[]", '{"workflow_run": null}', '{"workflow_run": {}}'])
def test_another_event_is_refused(github: GitHub, tmp_path: Path, text: str) -> None:
    (tmp_path / "event.json").write_text(text)
    with pytest.raises(UsageError, match="not the event of a workflow's run"):
        target_of(tmp_path / "event.json", REPOSITORY, Api(github.environment))


def test_a_refusal_is_told_and_the_token_is_not(github: GitHub) -> None:
    github.refuses = 403
    with pytest.raises(MachineError, match="GitHub refused: 403") as caught:
        keep_comment(TARGET, "text", Api(github.environment))
    assert "s3cret" not in str(caught.value)


def test_without_a_token_there_is_no_comment() -> None:
    with pytest.raises(UsageError, match="GITHUB_TOKEN is not set"):
        Api({})


def artifact(folder: Path, name: str, verdict: Verdict) -> None:
    state = StatePaths(folder, folder / name)
    log = EventLog(RunPaths(state, "r"), print)
    for one in run_events.run("r", [1.0], verdict):
        log(one)
    log.close()


def test_the_whole_way_from_the_artifacts_to_the_comment(github: GitHub, repository: Any, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    artifact(kept, "e2e-test-short-0-attempt-1", Verdict(Outcome.FAILED, "exit code 1"))
    artifact(kept, "e2e-test-other-0-attempt-1", run_events.VERDICT)
    (kept / "e2e-test-short-1-attempt-1").mkdir()
    (kept / "e2e-test-short-1-attempt-1/events.jsonl").write_text("nonsense\n")
    github.pulls = [{"number": 7, "head": {"label": "stranger:fix#1&x", "sha": "abc"}}]
    environment = {
        **github.environment,
        "GITHUB_EVENT_PATH": str(event(tmp_path)),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_STEP_SUMMARY": str(tmp_path / "page.md"),
    }
    words = ("summary", str(kept), "--comment", "--suite", "e2e-test-short")
    said = repository.trainci(*words, environment=environment)
    assert said.code == 0, said.err
    assert "e2e-test-short: 1 failed" in said.out and "The comment of pull request 7 is current." in said.out
    (comment,) = github.comments
    assert "| ❌ e2e-test-short | 1 failed |" in comment["body"] and "other" not in comment["body"]
    assert "| ❌ e2e-test-short | what it left is no run's |" in comment["body"]
    assert "The workflow's run ended as **failure**" in comment["body"]
    assert "| ❌ e2e-test-short | 1 failed |" in (tmp_path / "page.md").read_text()
    assert "left out: " in said.err and "Traceback" not in said.err


def test_a_summary_of_a_folder_that_is_not_there_is_told(repository: Any) -> None:
    said = repository.trainci("summary", "nowhere")
    assert said.code == 2 and "nowhere: there is no such folder" in said.err


def test_a_summary_of_nothing_says_so(repository: Any, tmp_path: Path) -> None:
    said = repository.trainci("summary", str(tmp_path), environment={"GITHUB_STEP_SUMMARY": str(tmp_path / "page")})
    assert said.code == 0 and "no run was found" in (tmp_path / "page").read_text()
