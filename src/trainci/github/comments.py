"""The one comment of a pull request that is kept current, by GitHub's REST interface.

Format: https://docs.github.com/rest/issues/comments and https://docs.github.com/rest/pulls
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from trainci.errors import MachineError, UsageError
from trainci.github.payload import trigger
from trainci.model.project import Trigger
from trainci.text import printable

# https://docs.github.com/rest: a body of more characters is refused.
LARGEST_COMMENT = 65_000
# Whose comments a job's own token writes. A marker alone could be in any user's.
AUTHOR = "github-actions[bot]"
MARKER = "<!-- trainci: the summary of this pull request -->"
_TIMEOUT_S = 30
_PER_PAGE = 100
_MOST_PAGES = 30
_MOST_PAGES_OF_COMMITS = 5
_LARGEST_ANSWER = 16 << 20


@dataclass(frozen=True)
class Target:
    """A repository (``owner/name``), and the pull request whose comment it is.

    ``ended``: how the workflow's run ended ("success", "failure", …); empty where GitHub does not say. ``event`` is
    what the pull request is now, ``commits`` are the newest of the branch that it is for.
    """

    repository: str
    number: int
    ended: str = ""
    event: Trigger = field(default_factory=lambda: Trigger("pull_request"))
    commits: tuple[str, ...] = ()

    @property
    def branch(self) -> str:
        """The branch that the pull request is for, by its short name."""
        return self.event.branch.removeprefix("refs/heads/")


class Api:
    """What is asked of GitHub, with a job's token."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._url = environment.get("GITHUB_API_URL", "https://api.github.com")
        self._token = environment.get("GITHUB_TOKEN", "")
        if not self._token:
            raise UsageError("GITHUB_TOKEN is not set: a comment needs a token that may write to pull requests.")

    def __call__(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer to one request.

        :raises MachineError: GitHub did not answer, or refused.
        """
        request = urllib.request.Request(
            f"{self._url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        place = f"{method} {self._url}{path}"
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return json.loads(answer.read(_LARGEST_ANSWER) or b"null")
        except urllib.error.HTTPError as error:
            raise MachineError(f"{place}: GitHub refused: {error.code} {printable(error.reason)}.") from None
        except (OSError, ValueError) as error:
            raise MachineError(f"{place}: GitHub did not answer: {printable(str(error))}.") from None


def target_of(event: Path, repository: str, api: Api) -> Target | None:
    """The open pull request whose newest commit a workflow's run was of; None where there is none any more.

    ``event`` is the payload of ``workflow_run``: GitHub wrote it. What the run itself left says nothing here.

    :raises UsageError: it is none.
    """
    try:
        run = json.loads(event.read_text("utf-8"))["workflow_run"]
        sha, branch, owner = run["head_sha"], run["head_branch"], run["head_repository"]["owner"]["login"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{event}: not the event of a workflow's run: {type(error).__name__} {error}.") from None
    head = quote(f"{owner}:{branch}", safe="")
    for pull in api("GET", f"/repos/{repository}/pulls?state=open&head={head}&per_page={_PER_PAGE}"):
        if pull["head"]["sha"] == sha:
            now = trigger({"pull_request": pull, "repository": {"full_name": repository}}, "pull_request")
            found = Target(repository, pull["number"], str(run.get("conclusion") or ""), now)
            return replace(found, commits=_commits(repository, found.branch, api))
    return None


def _commits(repository: str, branch: str, api: Api) -> tuple[str, ...]:
    """The newest commits of a branch; none where GitHub does not tell them: there is a comment all the same."""
    if not branch:
        return ()
    found = _listed(f"/repos/{repository}/commits", api, _MOST_PAGES_OF_COMMITS, sha=branch)
    try:
        return tuple(str(commit["sha"]) for commit in found)
    except MachineError:
        return ()


def keep_comment(target: Target, body: str, api: Api) -> None:
    """Make ``body`` the text of our comment: of the one that is there, else of a new one."""
    text = {"body": f"{MARKER}\n{body}"[:LARGEST_COMMENT]}
    comments = f"/repos/{target.repository}/issues/{target.number}/comments"
    for comment in _listed(comments, api, _MOST_PAGES):
        if comment["user"]["login"] == AUTHOR and comment["body"].startswith(MARKER):
            api("PATCH", f"/repos/{target.repository}/issues/comments/{comment['id']}", text)
            return
    api("POST", comments, text)


def _listed(path: str, api: Api, most_pages: int, **asked: str) -> Iterator[Any]:
    """What GitHub lists at ``path``, page by page."""
    for page in range(1, most_pages + 1):
        found = api("GET", f"{path}?{urlencode({**asked, 'per_page': _PER_PAGE, 'page': page})}")
        yield from found
        if len(found) < _PER_PAGE:
            return
