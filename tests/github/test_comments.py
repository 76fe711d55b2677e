"""The one comment of a pull request, against a server that answers as GitHub's does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import run_events
import served
from support import serving

from trainci.errors import MachineError, UsageError
from trainci.github.comments import AUTHOR, MARKER, Api, Target, keep_comment, target_of
from trainci.history.event_log import EventLog
from trainci.model import events
from trainci.model.run import Outcome, Verdict
from trainci.paths import RunPaths, StatePaths

REPOSITORY = "lab/train"
TARGET = Target(REPOSITORY, 7)
RED = Verdict(Outcome.FAILED, "exit code 1")


class GitHub(HTTPServer):
    """Pull requests and comments of one repository, as the REST interface tells them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pulls: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.commits: list[str] = []
        self.refuses = 0
        self.asked: list[str] = []
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
        self.server.asked.append(self.path)
        url = urlsplit(self.path)
        asked = parse_qs(url.query)
        if url.path == f"/repos/{REPOSITORY}/pulls":
            self._answer([p for p in self.server.pulls if p["head"]["label"] == asked["head"][0]])
        elif url.path == f"/repos/{REPOSITORY}/issues/7/comments":
            size, page = int(asked["per_page"][0]), int(asked["page"][0])
            self._answer(self.server.comments[size * (page - 1) : size * page])
        elif url.path == f"/repos/{REPOSITORY}/commits" and asked["sha"] == ["release/1"]:
            size, page = int(asked["per_page"][0]), int(asked["page"][0])
            self._answer([{"sha": commit} for commit in self.server.commits[size * (page - 1) : size * page]])
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
    with serving(GitHub()) as server:
        yield server


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
    found = target_of(event(tmp_path), REPOSITORY, Api(github.environment))
    assert found is not None and found.event.fork and found.commits == ()
    assert replace(found, event=TARGET.event) == replace(TARGET, ended="failure")
    assert target_of(event(tmp_path, sha="older"), REPOSITORY, Api(github.environment)) is None


def test_no_page_after_the_last_one_is_asked_for(github: GitHub, tmp_path: Path) -> None:
    head = {"label": "stranger:fix#1&x", "sha": "abc"}
    github.pulls = [{"number": 7, "head": head, "base": {"ref": "release/1"}}]
    github.commits = [f"{number:040x}" for number in range(150)]
    found = target_of(event(tmp_path), REPOSITORY, Api(github.environment))
    assert found is not None and found.commits == tuple(github.commits)
    assert sum("/commits?" in path for path in github.asked) == 2


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


def artifact(folder: Path, name: str, told: Iterable[events.Control]) -> None:
    log = EventLog(RunPaths(StatePaths(folder, folder / name), "r"), print)
    for one in told:
        log(one)
    log.close()


def test_the_whole_way_from_the_artifacts_to_the_comment(github: GitHub, repository: Any, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    artifact(kept, "e2e-test-short-0-attempt-1", run_events.run("r", [1.0], RED))
    artifact(kept, "e2e-test-other-0-attempt-1", run_events.run("r", [1.0]))
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
    assert "| ❌ e2e-test-short | 1 failed | not known |" in comment["body"] and "other" not in comment["body"]
    assert "| ❌ e2e-test-short | what it left is no run's |" in comment["body"]
    assert "The workflow's run ended as **failure**" in comment["body"]
    assert "| ❌ e2e-test-short | 1 failed |" in (tmp_path / "page.md").read_text()
    assert "left out: " in said.err and "Traceback" not in said.err


CONFIG = """
[suites.short]
label = "run-ci-short"
tests = ["tests/test_a.py", "tests/test_b.py"]
[suites.long]
label = "run-ci-long"
tests = ["tests/test_c.py"]
[suites.new]
label = "run-ci-new"
tests = ["tests/test_d.py"]
[suites.asked]
label = "run-ci-asked"
tests = ["tests/test_d.py"]
[suites.other]
label = "run-ci-other"
tests = ["tests/test_d.py"]
branches = ["main"]
"""


def with_a_past(repository: Any) -> str:
    """A repository in whose history the first of three tests is red at a commit, which is answered."""
    repository.write("trainci.toml", CONFIG)
    for name in "abcd":
        repository.write(f"tests/test_{name}.py", "NUM_GPUS = 2\nif __name__ == '__main__':\n    assert NUM_GPUS\n")
    repository.init()
    commit: str = repository.git("rev-parse", "HEAD").strip()
    served.add_run(StatePaths(repository.root), "20260101-000000-abcdef", commit=commit)
    later = "f" * 40
    served.add_run(StatePaths(repository.root), "20260102-000000-abcdef", served.TESTS[::-1], later, 9e5)
    return commit


def kept_by_jobs(folder: Path) -> Path:
    for number, test in enumerate(served.TESTS[:2]):
        told = (
            events.RunStarted(1.0, "r", "abc", "2 GPUs", (events.Planned(test, 2, "suite"),)),
            events.Concluded(2.0, test, 1, RED),
            events.RunEnded(3.0, 1),
        )
        artifact(folder, f"e2e-test-short-{number}-attempt-1", told)
    return folder


def test_the_comment_tells_what_is_new_on_the_branch_it_is_for_and_what_the_next_label_costs(
    github: GitHub, repository: Any, tmp_path: Path
) -> None:
    """By GitHub's word of the pull request: its branch, that branch's commits, the labels that it has."""
    github.commits = [*(f"{number:040x}" for number in range(150)), with_a_past(repository)]
    head = {"label": "stranger:fix#1&x", "sha": "abc", "repo": {"full_name": "stranger/train"}}
    labels = [{"name": "run-ci-short"}, {"name": "Run-CI-Asked"}]
    github.pulls = [{"number": 7, "head": head, "base": {"ref": "release/1"}, "labels": labels}]
    environment = {
        **github.environment,
        "GITHUB_EVENT_PATH": str(event(tmp_path)),
        "GITHUB_REPOSITORY": REPOSITORY,
    }
    said = repository.trainci("summary", str(kept_by_jobs(tmp_path / "kept")), "--comment", environment=environment)
    assert said.code == 0, said.err
    body = github.comments[0]["body"]
    assert "| ❌ e2e-test-short | 2 failed | 1 red |" in body
    assert body.index("new&#58; not red on release/1") < body.index("red on release/1, too")
    assert re.search(r"<code>run-ci-long</code> \| 1 \| 0\.02 \| \d+\.\d s \|", body), body
    assert "| <code>run-ci-new</code> | 1 | not known | none of its 1 test has a past |" in body
    assert not any(f"{label}</code>" in body for label in ("run-ci-other", "run-ci-short", "run-ci-asked"))


def test_a_summary_takes_the_branch_from_the_event_of_its_job_and_its_commits_from_git(
    repository: Any, tmp_path: Path
) -> None:
    with_a_past(repository)
    repository.git("update-ref", "refs/remotes/origin/release/1", "HEAD")
    kept = kept_by_jobs(tmp_path / "kept")
    page = tmp_path / "page.md"
    job = {"GITHUB_BASE_REF": "release/1", "GITHUB_STEP_SUMMARY": str(page)}
    said = repository.trainci("summary", str(kept), environment=job)
    assert said.code == 0, said.err
    assert "tests/test_b.py: exit code 1 (new: not red on release/1)" in said.out
    assert "tests/test_a.py: exit code 1 (red on release/1, too)" in said.out
    assert "run-ci-new would cost, in GPU-hours: not known (none of its 1 test has a past)" in said.out
    assert "| ❌ e2e-test-short | 2 failed | 1 red |" in page.read_text()
    unknown = repository.trainci("summary", str(kept), environment={**job, "GITHUB_BASE_REF": "gone"})
    assert "what is new is not known: which commits gone has cannot be seen here" in unknown.out


def test_a_summary_of_a_folder_that_is_not_there_is_told(repository: Any) -> None:
    said = repository.trainci("summary", "nowhere")
    assert said.code == 2 and "nowhere: there is no such folder" in said.err


def test_a_summary_takes_a_run_by_the_beginning_of_its_id(repository: Any) -> None:
    with_a_past(repository)
    run = sorted((repository.root / ".trainci/runs").iterdir())[-1].name
    said = repository.trainci("summary", run[:-1])
    assert said.code == 0 and "GPU-hours" in said.out, said.err


def test_a_summary_of_nothing_says_so(repository: Any, tmp_path: Path) -> None:
    said = repository.trainci("summary", str(tmp_path), environment={"GITHUB_STEP_SUMMARY": str(tmp_path / "page")})
    assert said.code == 0 and "no run was found" in (tmp_path / "page").read_text()
